import { expect, test } from "vitest";
import { fitsMetadata, isShort, parseStateText, type StatePlace, stateJson, stateText } from "../src/state-text.ts";

const PLACE: StatePlace = { group: "waybill.production.amplitude", topic: "waybill.production", partition: 3 };
const parse = (value: unknown): { readonly n: unknown } | undefined =>
  typeof value === "object" && value !== null && "n" in value ? (value as { n: unknown }) : undefined;

function read(text: string, change: Partial<StatePlace> = {}, offset = 7): unknown {
  return parseStateText(text, { ...PLACE, ...change }, { offset, parse });
}

test("a state is read as it was written, in ASCII whatever it holds", () => {
  const value = { n: 'é"\\\n😀\u007f\u2028' };
  const text = stateText(stateJson(value), PLACE, 7);
  expect(text).toMatch(/^waybill\/1 [0-9a-f]{8} [\x20-\x7e]+$/);
  expect(read(text)).toEqual(value);
});

test("a text that was cut, changed, copied or moved to another offset is an error, never a new lane", () => {
  const text = stateText(stateJson({ n: 17 }), PLACE, 7);
  const damaged = { code: "WAYBILL_LOG_DAMAGED", reason: "lane_state" };
  for (let at = 0; at < text.length; at++) {
    expect(() => read(text.slice(0, at))).toThrow();
    const other = String.fromCharCode(text.charCodeAt(at) ^ 1);
    expect(() => read(text.slice(0, at) + other + text.slice(at + 1)), `character ${at}`).toThrow();
  }
  for (const change of [{ group: "other" }, { topic: "other" }, { partition: 4 }])
    expect(() => read(text, change)).toThrow(expect.objectContaining(damaged));
  expect(() => read(text, {}, 8)).toThrow("does not match its checksum");
  for (const foreign of ["", "x", "{}", "waybill/1"])
    expect(() => read(foreign)).toThrow(expect.objectContaining(damaged));
  expect(() => read(stateText(stateJson({ other: 1 }), PLACE, 7))).toThrow(expect.objectContaining(damaged));
});

test("a state of a newer version is one, and says so", () => {
  expect(() => read("waybill/2 something else")).toThrow(expect.objectContaining({ code: "WAYBILL_DATA_FORMAT" }));
});

test("up to 3,500 characters a state stays as it is, up to 4,096 a broker takes it", () => {
  const json = (characters: number): string => "x".repeat(characters);
  const head = stateText("", PLACE, 7).length;
  expect(isShort(json(3_500 - head))).toBe(true);
  expect(isShort(json(3_501 - head))).toBe(false);
  expect(fitsMetadata(json(4_096 - head))).toBe(true);
  expect(fitsMetadata(json(4_097 - head))).toBe(false);
});
