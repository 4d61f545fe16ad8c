/**
 * What Trophy's client throws. `statusCode`, `body` and `headers` are those of the answer;
 * undefined when none came.
 */
export class TrophyApiError extends Error {
  override readonly name: string = "TrophyApiError";
  readonly statusCode: number | undefined;
  /** Parsed when it is JSON. */
  readonly body: unknown;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    message: string,
    answer: {
      readonly statusCode?: number;
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
    this.statusCode = answer.statusCode;
    this.body = answer.body;
    this.headers = answer.headers ?? {};
  }
}

/** 400 */
export class BadRequestError extends TrophyApiError {
  override readonly name = "BadRequestError";
}
/** 401 */
export class UnauthorizedError extends TrophyApiError {
  override readonly name = "UnauthorizedError";
}
/** 403 */
export class ForbiddenError extends TrophyApiError {
  override readonly name = "ForbiddenError";
}
/** 404 */
export class NotFoundError extends TrophyApiError {
  override readonly name = "NotFoundError";
}
/** 422 */
export class UnprocessableEntityError extends TrophyApiError {
  override readonly name = "UnprocessableEntityError";
}
/** No answer within `timeoutMs`, in any attempt. */
export class TrophyApiTimeoutError extends TrophyApiError {
  override readonly name = "TrophyApiTimeoutError";
}
/** A success whose body is not what was promised. The event was counted: do not send it again. */
export class TrophyParseError extends TrophyApiError {
  override readonly name = "TrophyParseError";
}

export const ERROR_OF_STATUS: Readonly<Record<number, typeof TrophyApiError>> = {
  400: BadRequestError,
  401: UnauthorizedError,
  403: ForbiddenError,
  404: NotFoundError,
  422: UnprocessableEntityError,
};
