/**
 * The base protocol of DAP: a header part with `Content-Length`, an empty line, then one JSON object in UTF-8.
 * Bytes in, messages out; whatever cannot be read is reported and skipped, so that one broken message costs itself only.
 */
export interface FramingListener {
  message(value: unknown): void;
  /** Something that is no message: what it was, in words */
  malformed(reason: string): void;
}

/** Bodies above this are refused: no client message is near it, and a wrong length must not eat all memory. */
const MAXIMUM_BODY = 64 * 1024 * 1024;
const MAXIMUM_HEADER = 16 * 1024;
const SEPARATOR = '\r\n\r\n';

export class MessageReader {
  private buffer = new Uint8Array(0);
  /** Length of the awaited body, or -1 while reading a header */
  private awaited = -1;
  private readonly decoder = new TextDecoder('utf-8', { fatal: true });

  constructor(private readonly listener: FramingListener) {}

  push(chunk: Uint8Array): void {
    const joined = new Uint8Array(this.buffer.length + chunk.length);
    joined.set(this.buffer);
    joined.set(chunk, this.buffer.length);
    this.buffer = joined;
    while (this.awaited < 0 ? this.header() : this.body());
  }

  private header(): boolean {
    const end = indexOfSeparator(this.buffer);
    if (end < 0) {
      if (this.buffer.length > MAXIMUM_HEADER) {
        this.buffer = new Uint8Array(0);
        this.listener.malformed(`no header end within ${MAXIMUM_HEADER} bytes`);
      }
      return false;
    }
    const text = String.fromCharCode(...this.buffer.subarray(0, Math.min(end, MAXIMUM_HEADER)));
    this.buffer = this.buffer.subarray(end + SEPARATOR.length);
    const length = /(?:^|\r\n|\n)\s*content-length:\s*(\d{1,10})\s*(?:\r\n|$)/i.exec(text)?.[1];
    if (length === undefined) this.listener.malformed('header without Content-Length');
    else if (Number(length) > MAXIMUM_BODY) this.listener.malformed(`Content-Length ${length} is above the limit`);
    else this.awaited = Number(length);
    return true;
  }

  private body(): boolean {
    if (this.buffer.length < this.awaited) return false;
    const bytes = this.buffer.subarray(0, this.awaited);
    this.buffer = this.buffer.slice(this.awaited);
    this.awaited = -1;
    let value: unknown;
    try {
      value = JSON.parse(this.decoder.decode(bytes));
    } catch (error) {
      this.listener.malformed(`body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
      return true;
    }
    this.listener.message(value);
    return true;
  }
}

function indexOfSeparator(bytes: Uint8Array): number {
  for (let i = bytes.indexOf(13); i >= 0 && i + 3 < bytes.length; i = bytes.indexOf(13, i + 1)) {
    if (bytes[i + 1] === 10 && bytes[i + 2] === 13 && bytes[i + 3] === 10) return i;
  }
  return -1;
}

/** One message as it goes over the wire. */
export function frame(message: object): Uint8Array {
  const body = new TextEncoder().encode(JSON.stringify(message));
  const head = new TextEncoder().encode(`Content-Length: ${body.length}${SEPARATOR}`);
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}
