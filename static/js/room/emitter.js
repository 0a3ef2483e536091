// @ts-check
/**
 * Topics and those who listen to them. A listener that fails is told to the console and harms no other.
 * @template {Record<string, any>} Topics
 */
export class Emitter {
  /** @type {Map<keyof Topics, Set<(value: any) => void>>} */
  #listeners = new Map();

  /**
   * @template {keyof Topics} T
   * @param {T} topic
   * @param {(value: Topics[T]) => void} listener
   * @returns {() => void} stops listening
   */
  on(topic, listener) {
    const set = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, set.add(listener));
    return () => void set.delete(listener);
  }

  /**
   * @template {keyof Topics} T
   * @param {T} topic
   * @param {Topics[T]} value
   */
  emit(topic, value) {
    for (const listener of [...(this.#listeners.get(topic) ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        console.error(error);
      }
    }
  }
}
