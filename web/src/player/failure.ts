// What went wrong, in words for people.

import { Refused } from "../api/loader";
import type { Failure } from "./protocol";

export function failureOf(error: unknown): Failure {
  if (error instanceof Refused) {
    return { words: error.message, status: error.status, code: error.code };
  }
  return { words: error instanceof Error ? error.message : String(error) };
}
