const NAMED: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
};

function escaped(byte: number, quote: string): string {
  if (byte === quote.charCodeAt(0) || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
  if (byte >= 32 && byte < 127) return String.fromCharCode(byte);
  const named = NAMED[byte];
  return named ?? `\\${byte.toString(8).padStart(3, '0')}`;
}

/** 'a' with C's escapes */
export function characterText(byte: number): string {
  return `'${escaped(byte, "'")}'`;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** "text" with C's escapes; valid UTF-8 is kept as it is */
export function quotedText(bytes: Uint8Array): string {
  let text = '"';
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
    const point = length > 1 ? decode(bytes.subarray(i, i + length)) : undefined;
    if (point !== undefined) {
      text += point;
      i += length - 1;
    } else text += escaped(byte, '"');
  }
  return `${text}"`;
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
