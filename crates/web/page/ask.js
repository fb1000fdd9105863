// Sends questions to a worker and receives its answers.

const address = new URL("worker.js", import.meta.url).href;
// A worker made from a blob inherits the policy of the page. One made from an address has the policy in its own
// response, and many hosts send none: such a worker could contact any server.
const inheriting = URL.createObjectURL(new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" }));

/** A worker that answers questions. */
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
      // If the host sends a policy that forbids blobs, a worker made from its address gets that policy.
      if (!this.answers && source !== address) return this.#start(address);
      this.failed = new Error(event.message || "the worker could not be started");
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

/** Runs `job` on the newest value; values that arrive while it runs, except the last one, are skipped. Fails if
 *  the last run fails. */
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
