import assert from 'node:assert/strict';
import { ExpressionError } from '../../debug-adapter/expression/api';
import { Evaluator } from '../../debug-adapter/expression/evaluator';
import { ProgramSet } from '../../debug-adapter/symbols/program-set';
import { type Compiled, compile, gdb, variants, variants32, PATIENCE } from '../symbols/compiled';
import { imageMemory } from '../symbols/image-memory';

/** Expressions over globals, whose values gdb reads from the same file. */
const EXPRESSIONS = `
machine
machine.p
machine.p[0]
machine.p[0].big
machine.p[0].flag + machine.p[0].mode
machine.c
machine.rights
machine.name
machine.title
machine.next
machine.next->next->name[1]
machine.u
machine.u.b
machine.inner
machine.word
machine.bytes
machine.op
*machine.op
machine.op == add
&machine
&machine.p[2]
&machine.p[2].y
*&machine.p[1]
(long)&machine.next - (long)&machine
&machine.p[3] - &machine.p[1]
sizeof(machine)
sizeof machine.p[0]
sizeof(struct vm)
sizeof(vm_t *)
sizeof(int[3])
sizeof(unsigned long long)
((struct vm *)vp)->name
((vm_t *)vp)->p[1].x
*(struct point *)&machine
(char)0x41
(unsigned char)300
(signed char)200
(short)70000
(int)3000000000
(unsigned)-1
(u64)-1
(address_t)1
(enum color)5
(enum access)3
(enum color)4
(_Bool)77
(float)1
(double)7 / 2
7 / 2
-7 / 2
-7 % 3
7.0 / 2
1.5 + ratio
half * 4
ratio > 1
wide
1e30
-half
matrix
matrix[1]
matrix[1][2]
*matrix
**matrix
*matrix[2]
&matrix[1][2]
&matrix
ip
*ip
ip[1]
ip[-1]
*(ip + 2)
ip - &matrix[0][0]
**ipp
ipp
rows
*rows
(*rows)[2]
rows[1][0]
*ip@3
matrix[0][1]@2
words
words[0]
words[2]
*words[1]
table
table[1]
huge
huge + 1
huge >> 60
huge & 0xff
~huge
huge == 0xfedcba9876543210
ratio
yes
!yes
letter
letter + 1
sc
-sc
sh
us
us + us
us * us
negative
negative >> 1
negative / 5
negative % 5
negative < positive
negative < l
l < ul
l == ul
positive
positive * 2
positive + 1ll
ul
ul + 1
very
none
odd
cached
level
level + 1
strange
where
where | 0xfff
opaque
opaque == 0
mixed
factory
unnamed
unnamed.b
pun
pun.bits
bytes[3]
zeroes
GREEN
GREEN + 1
RED == 0
READ | WRITE
LOW
HIGH
octets[255]
few
tailed
tailed.tail
sizeof(octets)
sizeof(many)
sizeof(few)
sizeof(nothing)
sizeof(tailed)
add
&add
*add
main
&main
0x10
010
0b101
1u
4294967295
4294967296
2147483648
0xffffffff
0x100000000
18446744073709551615u
'a'
'\\n'
'\\0'
'\\377'
1 ? 2 : 3
0 ? 2 : 3
1 && 0
1 || 0
!5
~5
-5
+5
1 << 31
1 << 4
1u << 31
1ll << 40
-1 >> 1
-1u >> 1
5 & 3
5 | 3
5 ^ 3
1 + 2 * 3
(1 + 2) * 3
10 - 4 - 3
2 < 3 == 1
1 == 1.0
6 > 5 > 4
3 - -3
-1 < 1u
(char)-1 == -1
sizeof("abc")
"abc"[1]
{int} &matrix[2][1]
{short} &machine.inner
(long)ip
(long)ip & 7
(void *)0
(char *)0 == 0
(char *)machine.title
(char *)machine.title + 2
machine.title[2]
(short[2])pun
&words
&words[1]
&*ip
&machine.u.b[2]
`
  .trim()
  .split('\n');

const FORMATTED = ['x', 'd', 'u', 'o', 't', 'c', 'z', 'a'].flatMap((letter) =>
  ['negative', 'us', 'sc', 'letter', 'huge', 'machine.c', 'yes', 'machine.p[0].flag', 'ip', 'matrix[1]', 'machine.u.b', 'add', 'zeroes']
    .filter((e) => !(letter === 'a' && e === 'zeroes') && e !== 'add')
    .map((e) => [letter, e] as const),
); // prettier-ignore

/** gdb repeats the type in front of a pointer; we show it separately. */
const withoutType = (text: string) => text.replace(/^\((?!.* \| )[^{}"]*?[*)]\)? (?=0x)/, '');

const SETTINGS = ['set print null-stop on', 'set print repeats 10'];

function check(
  compiled: Compiled,
  expressions: readonly string[],
  text: (e: Evaluator, x: string) => string,
  command: (x: string) => string,
): void {
  const set = new ProgramSet();
  set.add(compiled.program);
  const registers = () => undefined;
  const evaluator = new Evaluator(set, { memory: imageMemory(compiled.program), registers, frame: undefined });
  const answers = gdb(compiled.file, [...SETTINGS, ...expressions.map(command)]).slice(SETTINGS.length);
  const wrong: string[] = [];
  expressions.forEach((expression, i) => {
    const theirs = withoutType(answers[i]!.replace(/^type = /, ''));
    if (theirs === '') wrong.push(`gdb has no answer for ${expression}`);
    let ours: string;
    try {
      ours = text(evaluator, expression);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      ours = `error: ${error.message}`;
    }
    if (ours !== theirs) wrong.push(`${command(expression)}\n   gdb:  ${theirs}\n   ours: ${ours}`);
  });
  assert.equal(wrong.length, 0, `\n${wrong.join('\n')}`);
}

describe('expressions over globals equal gdb', function () {
  this.timeout(PATIENCE);
  for (const flags of variants) {
    it(flags.join(' '), () => {
      const compiled = compile(['shapes.c'], flags);
      check(
        compiled,
        EXPRESSIONS,
        (e, x) => e.evaluate(x).completeText,
        (x) => `output ${x}`,
      );
    });
  }

  for (const flags of variants32) {
    it(flags.join(' '), () => {
      const compiled = compile(['shapes.c', 'start.c'], flags);
      check(
        compiled,
        EXPRESSIONS,
        (e, x) => e.evaluate(x).completeText,
        (x) => `output ${x}`,
      );
    });
  }

  // gdb prints any array of bytes as text; a debugger of hypervisors sees more hashes and pages than text.
  it('bytes are text only when they look like it', () => {
    const compiled = compile(['shapes.c'], variants[0]!);
    const set = new ProgramSet();
    set.add(compiled.program);
    const place = { memory: imageMemory(compiled.program), registers: () => undefined, frame: undefined };
    const evaluator = new Evaluator(set, place);
    assert.equal(evaluator.evaluate('digest').text, '{0xff, 0xad, 0x00, 0x01, 0x02, 0x03}');
    assert.equal(evaluator.evaluate('text').text, '"text"');
    assert.match(evaluator.evaluate('raw').text, /^0x[0-9a-f]+ <digest>$/);
    assert.match(evaluator.evaluate('spoken').text, /^0x[0-9a-f]+ <text> "text"$/);
    assert.equal(evaluator.evaluate('bytes').text, '{0x00 <repeats 300 times>}');
    // The shortest text that reads back equal, where gdb writes all 17 digits
    assert.equal(evaluator.evaluate('0.1').text, '0.1');
  });

  it('with format letters', () => {
    const compiled = compile(['shapes.c'], variants[0]!);
    const by = (letter: string) => FORMATTED.filter(([l]) => l === letter).map(([, e]) => e);
    for (const letter of new Set(FORMATTED.map(([l]) => l))) {
      check(
        compiled,
        by(letter),
        (e, x) => e.evaluate(`${x},${letter}`).completeText,
        (x) => `output/${letter} ${x}`,
      );
    }
  });

  it('types are named alike', () => {
    const compiled = compile(['shapes.c'], variants[0]!);
    const names = ['machine', 'machine.p', 'matrix', 'octets', 'many', 'few', 'nothing', 'tailed.tail', '&matrix', 'rows', 'table', 'machine.op', 'words', 'mixed', 'factory',
      'add', '&add', 'main', 'vp', 'opaque', 'where', 'yes', 'very', 'ipp', '*ip@3', 'huge', 'us + us',
      'unnamed', 'machine.title', '&words[1]', 'level', '1ull', '&machine.p[1]', 'wide', '*rows', '&rows']; // prettier-ignore
    const typeOf = (e: Evaluator, x: string) => e.evaluate(x).typeName.replace(/\{\.\.\.\}/, '{...}');
    check(compiled, names, typeOf, (x) => `whatis ${x}`);
  });
});
