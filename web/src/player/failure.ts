// What went wrong, in words for people.

import { Refused } from "../api/loader";
import type { Failure } from "./protocol";

export function failureOf(error: unknown): Failure {
  if (error instanceof Refused) {
    const { message: words, status, code, loginUrl } = error;
    return { words, status, code, ...(loginUrl !== undefined && { loginUrl }) };
  }
  return { words: error instanceof Error ? error.message : String(error) };
}
