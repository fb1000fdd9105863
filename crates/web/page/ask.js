// Questions to a worker, and its answers.

const address = new URL("worker.js", import.meta.url).href;
// A worker made from a blob has the policy of the page that made it. One made from an address has that
// of its own answer, and many a host sends none, which would let the worker ask any server.
const inheriting = URL.createObjectURL(new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" }));

/** A worker that is asked one thing at a time, in order. */
export class Helper {
  constructor(onEvent = () => {}) {
    Object.assign(this, { onEvent, waiting: new Map(), number: 0 });
    this.#start(inheriting);
  }

  #start(source) {
    this.worker = new Worker(source, { type: "module" });
    this.worker.onmessage = ({ data }) => {
      this.answers = true;
      if (data.event) return this.onEvent(data.event);
      const { resolve, reject } = this.waiting.get(data.number) ?? {};
      this.waiting.delete(data.number);
      data.error === undefined ? resolve?.(data.answer) : reject?.(new Error(data.error));
    };
    this.worker.onerror = (event) => {
      // Where a host's own policy has no blobs, that policy reaches the worker by its address, too.
      if (!this.answers && source !== address) return this.#start(address);
      this.failed = new Error(event.message || "the worker could not start");
      for (const { reject } of this.waiting.values()) reject(this.failed);
      this.waiting.clear();
    };
    for (const { question } of this.waiting.values()) this.worker.postMessage(question);
  }

  ask(verb, ...args) {
    if (this.failed) return Promise.reject(this.failed);
    return new Promise((resolve, reject) => {
      const question = { number: ++this.number, verb, args };
      this.waiting.set(this.number, { resolve, reject, question });
      this.worker.postMessage(question);
    });
  }
}

/** Runs `job` on the newest of the values it is given; those that come while it runs are skipped. Fails
 *  where the last of them failed. */
export function newest(job) {
  let running = false;
  let next;
  return async (value) => {
    next = { value };
    if (running) return;
    running = true;
    let failure;
    while (next) {
      const { value } = next;
      [next, failure] = [];
      try {
        await job(value);
      } catch (error) {
        failure = { error };
      }
    }
    running = false;
    if (failure) throw failure.error;
  };
}
