// Questions to a worker, and its answers.

/** A worker that is asked one thing at a time, in order. */
export class Helper {
  constructor(onEvent = () => {}) {
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.waiting = new Map();
    this.number = 0;
    this.worker.onmessage = ({ data }) => {
      if (data.event) return onEvent(data.event);
      const { resolve, reject } = this.waiting.get(data.number);
      this.waiting.delete(data.number);
      data.error === undefined ? resolve(data.answer) : reject(new Error(data.error));
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.waiting.values()) reject(new Error(event.message || "the worker could not start"));
      this.waiting.clear();
    };
  }

  ask(verb, ...args) {
    return new Promise((resolve, reject) => {
      this.waiting.set(++this.number, { resolve, reject });
      this.worker.postMessage({ number: this.number, verb, args });
    });
  }
}

/** Runs `job` on the newest of the values it is given; those that come while it runs are skipped. */
export function newest(job) {
  let running = false;
  let next;
  return async (value) => {
    next = { value };
    if (running) return;
    running = true;
    try {
      while (next) {
        const { value } = next;
        next = undefined;
        await job(value);
      }
    } finally {
      running = false;
    }
  };
}
