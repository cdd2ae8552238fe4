/** A log point's message: text with {expressions}; "{{" and "}}" are braces. */
export type LogMessage = (evaluate: (expression: string) => string) => string;

export function parseLogMessage(text: string): LogMessage {
  const parts: ({ text: string } | { expression: string })[] = [];
  let plain = '';
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? '';
    if ((character === '{' || character === '}') && text[at + 1] === character) {
      plain += character;
      at++;
      continue;
    }
    const end = character === '{' ? closing(text, at) : -1;
    if (end < 0) {
      plain += character;
      continue;
    }
    parts.push({ text: plain }, { expression: text.slice(at + 1, end) });
    plain = '';
    at = end;
  }
  parts.push({ text: plain });
  return (evaluate) => parts.map((part) => ('text' in part ? part.text : evaluate(part.expression))).join('');
}

/** The brace that closes the one at `open`, with nesting as C initialisers have it; -1 when there is none. */
function closing(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  return -1;
}
