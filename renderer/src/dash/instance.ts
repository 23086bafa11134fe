/** Which component it is: the same id drawn anew is another instance. */

/**
 * A mark in a component's node of the layout.
 *
 * Dash copies it with the node, whatever changes in the component. A node that comes from the
 * server, or that a stream draws, has none.
 */
export class Instance {
  /** The callbacks that need no initial call for it: they had it, or have drawn it. */
  readonly called = new Set<string>();
  /** The callback that has drawn it in a run, where it is one of ours. */
  drawnBy: string | undefined;
  /** Nobody has looked at it. */
  isNew = true;

  /** A component that a callback gets as State, and returns, is drawn anew. */
  toJSON(): undefined {
    return undefined;
  }
}
