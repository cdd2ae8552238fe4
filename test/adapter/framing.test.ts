import assert from 'node:assert/strict';
import { frame, MessageReader } from '../../debug-adapter/protocol/framing';

function collect(chunks: Uint8Array[]): { messages: unknown[]; malformed: string[] } {
  const messages: unknown[] = [];
  const malformed: string[] = [];
  const reader = new MessageReader({ message: (m) => messages.push(m), malformed: (r) => malformed.push(r) });
  for (const chunk of chunks) reader.push(chunk);
  return { messages, malformed };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));

describe('base protocol', () => {
  it('reads messages however the stream is cut', () => {
    const wire = join(frame({ a: 1 }), frame({ text: 'ü€😀' }), frame({ b: [] }));
    for (const size of [1, 2, 3, 7, 50, wire.length]) {
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < wire.length; at += size) chunks.push(wire.slice(at, at + size));
      assert.deepEqual(collect(chunks), { messages: [{ a: 1 }, { text: 'ü€😀' }, { b: [] }], malformed: [] });
    }
  });

  it('counts bytes, not characters, in Content-Length', () => {
    assert.match(new TextDecoder().decode(frame({ t: '€' })), /^Content-Length: 11\r\n\r\n/);
  });

  it('accepts other headers and any case', () => {
    const { messages } = collect([bytes('Content-Type: x\r\ncontent-length:  2 \r\n\r\n{}')]);
    assert.deepEqual(messages, [{}]);
  });

  it('reports what is no message and reads the next one', () => {
    const bad = [
      bytes('Content-Length: 5\r\n\r\n{"a":'),
      bytes('Content-Length: 2\r\n\r\n\xff\xfe').slice(0, 23),
      bytes('Nothing: 1\r\n\r\n'),
      bytes('Content-Length: -3\r\n\r\n'),
      bytes('Content-Length: 9999999999\r\n\r\n'),
    ];
    for (const wrong of bad) {
      const { messages, malformed } = collect([wrong, frame({ ok: true })]);
      assert.equal(malformed.length, 1);
      assert.deepEqual(messages, [{ ok: true }]);
    }
  });

  it('gives up on a header without end instead of growing for ever', () => {
    const { malformed } = collect([new Uint8Array(20_000).fill(65)]);
    assert.equal(malformed.length, 1);
  });
});
