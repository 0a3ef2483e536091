// @ts-check
/**
 * What was decided and must reach the room even if the line is down at the moment, or the page is loaded anew before it is
 * back: a yes or no to the recording, a pause. The latest of each name counts; it is kept until the room has it.
 */

/** @typedef {import("./protocol.js").Outgoing} Outgoing */

export class Wishes {
  /** @type {{wishes: [string, Outgoing][], ping: number}} on their way */
  #sent = { wishes: [], ping: 0 };
  #connection;
  #memory;

  /** @param {import("./connection.js").Connection} connection @param {import("./memory.js").Memory} memory */
  constructor(connection, memory) {
    this.#connection = connection;
    this.#memory = memory;
  }

  /** @param {string} name @param {Outgoing} message @returns {boolean} false: it is kept until the line is back */
  make(name, message) {
    this.keep(name, message);
    return this.send();
  }

  /** @param {string} name @param {Outgoing} message */
  keep(name, message) {
    this.#memory.keep({ wishes: [...this.#besides(name), [name, message]] });
  }

  /** @param {string} name */
  drop(name) {
    this.#memory.keep({ wishes: this.#besides(name) });
  }

  /** The room answers in order: once the ping after them is answered, they arrived. @returns {boolean} */
  send() {
    const { wishes } = this.#memory.kept;
    if (wishes.some(([, message]) => !this.#connection.send(message))) return false;
    if (wishes.length) this.#sent = { wishes, ping: this.#connection.ping() };
    return true;
  }

  /** @param {number} n of a ping that was answered */
  confirm(n) {
    const { wishes, ping } = this.#sent;
    if (!wishes.length || n < ping) return;
    this.#sent = { wishes: [], ping: 0 };
    this.#memory.keep({ wishes: this.#memory.kept.wishes.filter((one) => !wishes.includes(one)) });
  }

  /** @param {string} name */
  #besides(name) {
    return this.#memory.kept.wishes.filter(([one]) => one !== name);
  }
}
