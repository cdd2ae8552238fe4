import assert from 'node:assert/strict';
import { ExpressionError } from '../../debug-adapter/expression/api';
import { Evaluator } from '../../debug-adapter/expression/evaluator';
import { unwind } from '../../debug-adapter/stack/unwind';
import { toBytes } from '../../debug-adapter/symbols/bytes';
import { ProgramSet } from '../../debug-adapter/symbols/program-set';
import { registersByNumber } from '../../debug-adapter/symbols/register-numbers';
import { compile, PATIENCE } from '../symbols/compiled';
import { imageMemory } from '../symbols/image-memory';

const { program } = compile(['shapes.c'], ['-gdwarf-5', '-O0', '-static', '-fno-pie']);
const memory = imageMemory(program);
const machine: Record<string, bigint> = {
  rax: 0x1122_3344_5566_7788n,
  rip: 0x401000n,
  rsp: 0x7000n,
  cr3: 0x1000n,
  rflags: 0x246n,
};
const registers = (name: string) => machine[name];

function evaluator(bias = 0n): Evaluator {
  const set = new ProgramSet();
  set.add(program, bias);
  return new Evaluator(set, { memory: (a, n) => memory(a - bias, n), registers, frame: undefined });
}

const address = (name: string) => program.elfSymbols.named(name)[0]!.value;

describe('evaluator', function () {
  this.timeout(PATIENCE);
  it('says what is wrong and where', () => {
    const cases: [string, RegExp, number][] = [
      ['', /empty/, 0],
      ['1 +', /incomplete/, 3],
      ['(1', /"\)" is expected/, 2],
      ['1 2', /Unexpected/, 2],
      ['nobody', /no variable, function, constant or register "nobody"/, 0],
      ['1 + nobody', /nobody/, 4],
      ['$nobody', /no register "nobody"/, 0],
      ['add(3)', /cannot be called/, 3],
      ['machine.nobody', /no member "nobody"/, 8],
      ['machine + 1', /arithmetic value/, 8],
      ['*vp', /unknown type: cast/, 0],
      ['vp->x', /unknown type: cast/, 4],
      ['*opaque', /^$/, -2],
      ['opaque->x', /defined nowhere/, 8],
      ['&machine.p[0].flag', /bit field has no address/, 0],
      ['&5', /in memory/, 0],
      ['&$rax', /register rax/, 0],
      ['(struct nobody *)0', /no "struct nobody"/, 8],
      ['(nobody)0', /Unexpected a number/, 8],
      ['1 / 0', /Division by zero/, 2],
      ['5 % 0', /Division by zero/, 2],
      ['ratio % 2', /floating-point/, 6],
      ['~ratio', /floating-point/, 0],
      ['ip * 2', /cast a pointer/, 3],
      ['1, 2', /comma operator/, 1],
      ['1 = 2', /computed, not stored/, 2],
      ['1 + (letter = 2)', /stand alone/, 12],
      ["'ab'", /exactly one byte/, 0],
      ['"abc', /no closing/, 0],
      ['0x', /no number/, 0],
      ['09', /octal/, 0],
      ['1lul', /no suffix/, 0],
      ['1 ? 2', /":" is expected/, 5],
      ['a`b', /Unexpected character/, 1],
      ['sizeof(struct never)', /size of "struct never" is not known/, 0],
      ['machine,q', /no format/, 8],
      ['(long long long)1', /no type of C/, 1],
      ['*(int *)0', /^$/, -2],
      [`${'('.repeat(5000)}1`, /nested too deeply/, -2],
    ];
    for (const [text, message, position] of cases) {
      if (message.source === '^$') {
        // Such a value exists; only its bytes cannot be read.
        assert.match(
          evaluator().evaluate(text).text,
          /^<.*(Cannot access memory at address 0x0|incomplete type).*>$/,
          text,
        );
        continue;
      }
      const check = (error: unknown) => {
        assert(error instanceof ExpressionError, `${text}: ${String(error)}`);
        assert.match(error.message, message, text);
        if (position >= -1) assert.equal(error.position, position, `place in ${text}`);
        return true;
      };
      assert.throws(() => evaluator().evaluate(text), check, text);
    }
  });

  it('registers, whole and in part', () => {
    const e = evaluator();
    const texts = ['$rax,x', '$eax,x', '$ax,x', '$al,x', '$ah,x', '$cr3,x', 'rax,x', '$eflags,x', '$rax & 0xff'];
    assert.deepEqual(
      texts.map((t) => e.evaluate(t).text),
      ['0x1122334455667788', '0x55667788', '0x7788', '0x88', '0x77', '0x1000', '0x1122334455667788', '0x246', '136'],
    );
    assert.match(e.evaluate('$rip').typeName, /\(\*\)\(\)/);
    assert.match(e.evaluate('$pc').text, /^0x401000/);
    assert.equal(e.evaluate('*(char *)($rsp - $rsp + (long)&letter)').text, "113 'q'");
    // A variable hides a register of its name.
    assert.equal(e.evaluate('sh').typeName, 'short');
  });

  it('assignments become write requests', () => {
    const e = evaluator();
    const request = (text: string) => e.evaluate(text).write;
    const at = address('machine');
    const bytes = (...list: number[]) => Uint8Array.from(list);
    assert.deepEqual(request('negative = 5'), {
      kind: 'memory',
      address: address('negative'),
      bytes: bytes(5, 0, 0, 0),
    });
    assert.deepEqual(request('negative += 7'), {
      kind: 'memory',
      address: address('negative'),
      bytes: bytes(0xf6, 255, 255, 255),
    });
    assert.deepEqual(request('sc--'), { kind: 'memory', address: address('sc'), bytes: bytes(0xfc) });
    assert.deepEqual(request('ip = ip + 1'), {
      kind: 'memory',
      address: address('ip'),
      bytes: toBytes(address('matrix') + 28n, 8),
    });
    assert.deepEqual(request('ip++'), request('ip = ip + 1'));
    assert.deepEqual(request('machine.c = BLUE'), { kind: 'memory', address: at + 64n, bytes: bytes(6, 0, 0, 0) });
    assert.deepEqual(request('half = 1'), { kind: 'memory', address: address('half'), bytes: bytes(0, 0, 128, 63) });
    assert.deepEqual(request('yes = 9'), { kind: 'memory', address: address('yes'), bytes: bytes(1) });
    assert.deepEqual(request('unnamed.b = 300'), {
      kind: 'memory',
      address: address('unnamed') + 4n,
      bytes: bytes(44),
    });
    assert.deepEqual(request('machine.p[1] = machine.p[0]')!.kind, 'memory');
    // flag is bits 0..2 and mode 3..7 of the byte at 8: 3 | 4 << 3
    assert.deepEqual(request('machine.p[0].flag = 6'), {
      kind: 'memory',
      address: at + 8n,
      bytes: bytes(6 | (4 << 3)),
    });
    assert.deepEqual(request('machine.p[0].mode = 31'), {
      kind: 'memory',
      address: at + 8n,
      bytes: bytes(3 | (31 << 3)),
    });
    assert.deepEqual(request('$rax = 1'), { kind: 'register', name: 'rax', value: 1n });
    assert.deepEqual(request('$eax = -1'), { kind: 'register', name: 'rax', value: 0x1122_3344_ffff_ffffn });
    assert.deepEqual(request('$ah = 0'), { kind: 'register', name: 'rax', value: 0x1122_3344_5566_0088n });
    assert.deepEqual(request('$cr3 = 0x2000'), { kind: 'register', name: 'cr3', value: 0x2000n });
    assert.deepEqual(e.assign('letter', "'z'"), { kind: 'memory', address: address('letter'), bytes: bytes(122) });
    assert.throws(() => e.assign('matrix', '0'), /cannot become/);
    assert.throws(() => e.assign('add', '0'), /cannot become/);
    assert.throws(() => e.assign('negative', 'ratio ratio'), ExpressionError);
    assert.equal(e.evaluate('negative = 5').text, '5');
    assert.equal(e.evaluate('negative').write, undefined);
  });

  it('a tree of children whose names evaluate to themselves', () => {
    const e = evaluator();
    let visited = 0;
    const visit = (name: string, depth: number): void => {
      const value = e.evaluate(name);
      const children = value.children(0, 5);
      assert.equal(Math.min(5, value.namedChildren + value.indexedChildren), children.length, name);
      for (const child of children) {
        visited++;
        assert(child.evaluateName !== undefined);
        const again = e.evaluate(child.evaluateName);
        assert.equal(again.text, child.value.text, child.evaluateName);
        assert.equal(again.typeName, child.value.typeName, child.evaluateName);
        if (depth < 3) visit(child.evaluateName, depth + 1);
      }
    };
    for (const name of [
      'machine',
      '&machine',
      'matrix',
      'ipp',
      'rows',
      'words',
      'unnamed',
      'pun',
      '(vm_t *)vp',
      'matrix[1]',
      '*rows',
      'table',
    ])
      visit(name, 0);
    assert(visited > 120, `${visited} children`);
    assert.deepEqual(
      e
        .evaluate('machine')
        .children()
        .map((c) => c.name),
      ['p', 'c', 'rights', 'name', 'title', 'next', 'u', 'inner', 'word', 'bytes', 'op'],
    );
    assert.deepEqual(
      e
        .evaluate('zeroes')
        .children(60, 10)
        .map((c) => c.name),
      ['[60]', '[61]', '[62]', '[63]'],
    );
    assert.equal(e.evaluate('bytes').indexedChildren, 300);
    assert.equal(e.evaluate('opaque').namedChildren, 0);
    assert.equal(e.evaluate('vp').namedChildren, 0);
    assert.equal(e.evaluate('machine.next').memoryReference, address('machine'));
    assert.equal(e.evaluate('machine').address, address('machine'));
    assert(e.evaluate('machine').text.length < 400, 'a summary is short');
  });

  it('a load bias moves everything', () => {
    const bias = 0xffff_8000_0000_0000n;
    const e = evaluator(bias);
    assert.equal(e.evaluate('machine').address, address('machine') + bias);
    assert.equal(e.evaluate('machine.p[0].big').text, '-5');
    assert.equal(e.evaluate('&add').text, `0x${(address('add') + bias).toString(16)} <add>`);
  });

  it('an image without debug information has its symbols', () => {
    const bare = compile(['shapes.c'], ['-O0', '-static', '-fno-pie']).program;
    const set = new ProgramSet();
    set.add(bare);
    const e = new Evaluator(set, { memory: imageMemory(bare), registers, frame: undefined });
    assert.equal(e.evaluate('negative,d').text, '-17');
    assert.equal(e.evaluate('*(short *)&sh').text, '-300');
    assert.equal(e.evaluate('(uint8_t)negative,x').text, '0xef');
    assert.match(e.evaluate('main').text, /<main>$/);
    assert.match(e.evaluate('zeroes').typeName, /unsigned char \[256\]/);
  });

  it('a value in a register of a caller is not changed through the register', () => {
    const set = new ProgramSet();
    set.add(program);
    const frames = unwind(
      set,
      registersByNumber((n) => (n === 'rip' ? address('main') : n === 'rsp' ? 0x7000n : 0n)),
      memory,
    );
    const e = new Evaluator(set, { memory, registers, frame: { ...frames[0]!, depth: 1 } });
    assert.throws(() => e.evaluate('$rbx = 1'), /innermost frame/);
  });
});
