import {expect, it} from "vitest";
import {withFields} from "../src/transport/endpoint.ts";

it.each([
  ["{}", {flash_events: {run: "r"}}],
  ['{"inputs":[{"value":"}"}]}', {inputs: [{value: "}"}], flash_events: {run: "r"}}],
])("our fields are added to %s", (body, expected) => {
  expect(JSON.parse(withFields(body, {run: "r"}))).toEqual(expected);
});
