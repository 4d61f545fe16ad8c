import { printable } from "@waybill/core";
import { type Answer, problem } from "../intake/answers.ts";

/** Thrown by a route to end with this answer. */
export class Refusal extends Error {
  readonly answer: Answer;

  constructor(answer: Answer) {
    super(answer.body);
    this.answer = answer;
  }
}

const SHOWN_CHARACTERS = 100;

export function invalid(message: string): Refusal {
  return new Refusal(problem(400, "invalid_request", message));
}

export function unknown(code: string, message: string): Refusal {
  return new Refusal(problem(404, code, message));
}

/** Text of the request in an answer: short, and safe to print. */
export function quoted(text: string): string {
  return printable(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text);
}
