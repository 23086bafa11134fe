/** The page's React, which Dash loads. */

interface ReactLike {
  createElement(type: string, props: object, ...children: unknown[]): unknown;
  useEffect(effect: () => void | (() => void), dependencies: readonly unknown[]): void;
  useState<T>(initial: T): [T, (next: T) => void];
  useSyncExternalStore<T>(subscribe: (listener: () => void) => () => void, get: () => T): T;
}

export const {React} = globalThis as unknown as {React: ReactLike};
