/** Identity of a component: the same id drawn again is another instance. */

/**
 * Mark in a component's layout node.
 *
 * Dash copies it with the node on every change of the component. A node that comes from the server
 * or from a stream has none.
 */
export class Instance {
  /** Callbacks that need no initial call for this instance: they had it, or have drawn it. */
  readonly called = new Set<string>();
  /** Event callback whose run has drawn this instance; undefined if none has. */
  drawnBy: string | undefined;
  /** Whether `createInstances` has not seen it yet. */
  isNew = true;

  /** A component that a callback gets as State and returns counts as drawn again. */
  toJSON(): undefined {
    return undefined;
  }
}
