/**
 * Lets `html.Progress` and `html.Meter` have numbers as their values, as they may everywhere else.
 *
 * Dash declares all attributes of HTML as strings. React and the browser take numbers, which `track`
 * streams, but in debug mode Dash removes a whole page for a value that is not what was declared.
 */

type Check = (props: Readonly<Record<string, unknown>>, name: string, ...rest: unknown[]) => unknown;
type Components = Readonly<Record<string, {propTypes?: Record<string, Check>} | undefined>>;

export function allowNumbers(components: Components | undefined): void {
  for (const type of ["Progress", "Meter"]) {
    const checks = components?.[type]?.propTypes;
    const declared = checks?.value;
    if (!checks || !declared) continue;
    checks.value = (props, name, ...rest) =>
      typeof props[name] === "number" ? null : declared(props, name, ...rest);
  }
}
