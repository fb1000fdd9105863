"""The line of JSON that a peer prints at the end, for `cargo xtask bench`."""
import json, resource, time


class Report:
    def __init__(self):
        self.started, self.epochs = time.time(), []

    def epoch(self, clock, cpu):
        self.epochs.append({"seconds": time.time() - clock, "cpu_seconds": time.process_time() - cpu})

    def print(self, **more):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"epochs": self.epochs, "peak_rss_bytes": peak, **more}))
