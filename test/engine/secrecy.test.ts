import assert from 'node:assert';
import { EngineExit } from '../../emulator/engine/host';
import type { InstructionRow } from '../../emulator/isa/row';
import { INSTRUCTION_TABLE } from '../../emulator/isa/table';
import { RAM_BASE, SHADOW, SHADOW_ACCESS, ShadowAccess, State } from '../../emulator/memory/layout';
import { CODE_ADDRESS, WINDOW_ADDRESS, WINDOW_SIZE } from '../isa/native-cpu';
import { Random, seedFromEnvironment } from '../isa/random';
import { makeCase, type SemanticCase } from '../isa/semantic-cases';
import { FlatHost, FlatMachine } from './flat-machine';

const CASES_PER_ROW = Number(process.env['CASES'] ?? 60);
const [A, C, D, B, SP, BP, SI, DI] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const name = (row: InstructionRow): string => `${row.mnemonic} ${row.notation}`;
const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** Serves the accesses of tracked code, and keeps which bits of memory are secret. */
class SecretMemory {
  readonly bits: Uint8Array;

  constructor(host: FlatHost, ramSize: number) {
    this.bits = new Uint8Array(ramSize);
    const { view } = host.memory;
    const load = host.slowLoad.bind(host);
    const store = host.slowStore.bind(host);
    host.slowLoad = (linear, size, forWrite) => {
      view.setBigUint64(SHADOW_ACCESS + ShadowAccess.LOADED, this.read(linear, size), true);
      return load(linear, size, forWrite);
    };
    host.slowStore = (linear, size, value) => {
      store(linear, size, value);
      this.write(linear, size, view.getBigUint64(SHADOW_ACCESS + ShadowAccess.STORED, true));
    };
  }

  read(linear: bigint, size: number): bigint {
    let value = 0n;
    for (let i = 0; i < size; i++) value |= BigInt(this.bits[Number(u64(linear)) + i] ?? 0) << BigInt(8 * i);
    return value;
  }

  write(linear: bigint, size: number, secret: bigint): void {
    for (let i = 0; i < size; i++) this.bits[Number(linear) + i] = Number((secret >> BigInt(8 * i)) & 0xffn);
  }

  clear(): void {
    this.bits.fill(0);
  }
}

interface Bits {
  readonly gpr: bigint[];
  readonly memory: Uint8Array;
  result: bigint;
  aux: bigint;
}

class Tracker {
  readonly machine: FlatMachine;
  readonly secrets: SecretMemory;

  constructor(readonly mode: 32 | 64) {
    this.machine = new FlatMachine(mode);
    this.secrets = new SecretMemory(this.machine.host, this.machine.memory.ramSize);
  }

  private place(c: SemanticCase): void {
    const { machine } = this;
    machine.memory.u8.fill(0, RAM_BASE + WINDOW_ADDRESS - 0x1000, RAM_BASE + WINDOW_ADDRESS + 0x2000);
    machine.memory.u8.set(c.memory, RAM_BASE + WINDOW_ADDRESS);
    machine.load(CODE_ADDRESS, c.code);
    c.gpr.forEach((value, register) => machine.setGpr(register, value));
    machine.rflags = c.rflags;
    machine.rip = BigInt(CODE_ADDRESS);
  }

  /** Executes the one instruction; `secret` says which bits of its inputs are secret. */
  run(c: SemanticCase, secret: Bits): EngineExit {
    this.place(c);
    const { view, u8 } = this.machine.memory;
    u8.fill(0, SHADOW, SHADOW + 0x1000);
    secret.gpr.forEach((bits, register) => view.setBigUint64(SHADOW + State.GPR + register * 8, bits, true));
    view.setBigUint64(SHADOW + State.FLAGS_RESULT, secret.result, true);
    view.setUint32(SHADOW + State.FLAGS_AUX, Number(secret.aux), true);
    this.secrets.clear();
    this.secrets.bits.set(secret.memory, WINDOW_ADDRESS);
    return this.machine.engine.runTracked(1, false);
  }

  private bits(base: number): Bits {
    const { view } = this.machine.memory;
    return {
      gpr: Array.from({ length: 16 }, (_, n) => view.getBigUint64(base + State.GPR + n * 8, true)),
      result: view.getBigUint64(base + State.FLAGS_RESULT, true),
      aux: BigInt(view.getUint32(base + State.FLAGS_AUX, true)),
      memory: new Uint8Array(0),
    };
  }

  get values(): Bits {
    const { u8 } = this.machine.memory;
    return {
      ...this.bits(0),
      memory: u8.slice(RAM_BASE + WINDOW_ADDRESS, RAM_BASE + WINDOW_ADDRESS + WINDOW_SIZE),
    };
  }

  get shadows(): Bits {
    return { ...this.bits(SHADOW), memory: this.secrets.bits.slice(WINDOW_ADDRESS, WINDOW_ADDRESS + WINDOW_SIZE) };
  }

  /** The flags in the form in which the state block keeps them */
  flagWords(rflags: bigint): { result: bigint; aux: bigint } {
    this.machine.rflags = rflags;
    const { result, aux } = this.bits(0);
    return { result, aux };
  }
}

const noSecrets = (): Bits => ({
  gpr: new Array<bigint>(16).fill(0n),
  memory: new Uint8Array(WINDOW_SIZE),
  result: 0n,
  aux: 0n,
});

/** Registers that only address memory, or decide how often: secrets in them are no matter of data flow. */
function addressing({ instruction }: SemanticCase): Set<number> {
  const { row, base, index, isMemory, reg } = instruction;
  const none = new Set<number>([SP]);
  if (isMemory && row.mnemonic !== 'LEA') for (const register of [base, index]) if (register >= 0) none.add(register);
  if (/^(ENTER|LEAVE)/.test(row.mnemonic)) none.add(BP);
  if (row.mnemonic === 'XLATB') none.add(B).add(A);
  if (row.operands.some((code) => /^[XY]/.test(code))) none.add(SI).add(DI).add(C);
  if (/^BT/.test(row.mnemonic) && isMemory && row.operands[1] === 'Gv') none.add(reg);
  if (row.mnemonic === 'LEA') none.delete(SP);
  return none;
}

/** Where it returns to is canonical; the secret part of memory is left out, since it decides where. */
function returnAnywhere({ gpr, memory }: SemanticCase): void {
  memory.fill(0, Number(gpr[SP]) - WINDOW_ADDRESS + 5);
}

function chooseSecrets(c: SemanticCase, random: Random, tracker: Tracker): { secret: Bits; other: SemanticCase } {
  const secret = noSecrets();
  const mask = (): bigint => {
    switch (random.below(4)) {
      case 0:
        return (1n << 64n) - 1n;
      case 1:
        return 0xffn << BigInt(8 * random.below(8));
      case 2:
        return 1n << BigInt(random.below(64));
      default:
        return random.u64();
    }
  };
  const excluded = addressing(c);
  const gpr = [...c.gpr];
  for (let n = 0; n < 16; n++) {
    if (excluded.has(n) || random.below(3) === 0) continue;
    secret.gpr[n] = c.mode === 64 ? mask() : BigInt.asUintN(32, mask());
    gpr[n] = u64((gpr[n] ?? 0n) ^ ((secret.gpr[n] ?? 0n) & random.u64()));
  }
  const memory = c.memory.slice();
  if (random.bool() && c.instruction.row.mnemonic !== 'RET') {
    for (let i = 0; i < WINDOW_SIZE; i++) {
      if (random.below(3) === 0) continue;
      secret.memory[i] = random.bool() ? 0xff : random.byte();
      memory[i] = (memory[i] ?? 0) ^ ((secret.memory[i] ?? 0) & random.byte());
    }
  }
  let { rflags } = c;
  if (random.bool()) {
    rflags ^= random.u64() & 0x8d5n;
    const [one, two] = [tracker.flagWords(c.rflags), tracker.flagWords(rflags)];
    secret.result = one.result ^ two.result;
    secret.aux = one.aux ^ two.aux;
  }
  return { secret, other: { ...c, gpr, memory, rflags } };
}

/** Bits that differ between two outcomes and are not marked. */
function leaks(a: Bits, b: Bits, shadow: Bits): string[] {
  const found: string[] = [];
  const check = (what: string, x: bigint, y: bigint, marked: bigint): void => {
    const missed = (x ^ y) & ~marked;
    if (missed !== 0n) found.push(`${what}: ${hex(x)} or ${hex(y)}, marked ${hex(marked)}`);
  };
  a.gpr.forEach((value, n) => check(`r${n}`, value, b.gpr[n] ?? 0n, shadow.gpr[n] ?? 0n));
  check('flags result', a.result, b.result, shadow.result);
  check('flags aux', a.aux, b.aux, shadow.aux);
  a.memory.forEach((byte, i) =>
    check(`memory +${i}`, BigInt(byte), BigInt(b.memory[i] ?? 0), BigInt(shadow.memory[i] ?? 0)),
  );
  return found;
}

for (const mode of [64, 32] as const) {
  describe(`secrecy of data, ${mode}-bit: what depends on a secret bit is marked`, function () {
    this.timeout(0);
    const seed = seedFromEnvironment();
    const rows = INSTRUCTION_TABLE.filter(
      (row) => row.meaning && !row.helper && (mode === 64 ? row.modes.long : row.modes.legacy),
    );
    const byMnemonic = new Map<string, InstructionRow[]>();
    for (const row of rows) byMnemonic.set(row.mnemonic, [...(byMnemonic.get(row.mnemonic) ?? []), row]);
    let tracker: Tracker;

    before(() => {
      console.log(`      SEED=${seed}`);
      tracker = new Tracker(mode);
    });

    for (const [mnemonic, forms] of byMnemonic) {
      it(mnemonic, () => {
        let executed = 0;
        for (const row of forms) {
          for (let n = 0; n < CASES_PER_ROW; n++) {
            const random = new Random(seed ^ (row.id * 7919 + n * 104729));
            const c = makeCase(row, mode, random);
            if (!c) continue;
            if (mnemonic === 'RET') returnAnywhere(c);
            const { secret, other } = chooseSecrets(c, random, tracker);
            if (tracker.run(other, secret) === EngineExit.Fault) continue;
            const second = tracker.values;
            const secondShadow = tracker.shadows;
            if (tracker.run(c, secret) === EngineExit.Fault) continue;
            executed++;
            // Marks may depend on values that are no secret; those of both runs must hold.
            for (const shadow of [tracker.shadows, secondShadow]) {
              const missed = leaks(tracker.values, second, shadow);
              const code = Buffer.from(c.code).toString('hex');
              assert.deepEqual(missed, [], `${name(row)} (${code}), SEED=${seed}, case ${n}`);
            }
          }
        }
        assert.ok(executed > 0, `${mnemonic}: no case could be executed`);
      });
    }
  });
}

describe('secrecy of data: what does not depend on a secret is not marked', () => {
  const tracker = new Tracker(64);
  const ALL = (1n << 64n) - 1n;

  interface Sample {
    readonly code: string;
    readonly gpr?: Record<number, bigint>;
    readonly secret?: Record<number, bigint>;
    readonly secretMemory?: Record<number, number>;
  }

  function run({ code, gpr = {}, secret = {}, secretMemory = {} }: Sample): Bits {
    const values = new Array<bigint>(16).fill(0n);
    values[SP] = BigInt(WINDOW_ADDRESS + 128);
    for (const [n, value] of Object.entries(gpr)) values[Number(n)] = value;
    const bits = noSecrets();
    for (const [n, value] of Object.entries(secret)) bits.gpr[Number(n)] = value;
    for (const [at, value] of Object.entries(secretMemory)) bits.memory[Number(at)] = value;
    const c = {
      code: Buffer.from(code.replaceAll(' ', ''), 'hex'),
      mode: 64,
      gpr: values,
      rflags: 2n,
      memory: new Uint8Array(WINDOW_SIZE),
    } as unknown as SemanticCase;
    assert.equal(tracker.run(c, bits), EngineExit.Budget);
    return tracker.shadows;
  }
  const at = (offset: number): bigint => BigInt(WINDOW_ADDRESS + offset);

  it('moves keep bytes apart', () => {
    assert.equal(run({ code: '48 89 c8', secret: { [C]: 0xff00n } }).gpr[A], 0xff00n); // mov rax, rcx
    assert.equal(run({ code: '89 c8', secret: { [C]: ALL, [A]: ALL } }).gpr[A], 0xffffffffn); // mov eax, ecx
    assert.equal(run({ code: '88 c8', secret: { [A]: ALL } }).gpr[A], ALL & ~0xffn); // mov al, cl
    assert.equal(run({ code: '88 e0', secret: { [A]: 0xffn } }).gpr[A], 0n); // mov al, ah
    assert.equal(run({ code: '48 8b 01', gpr: { [C]: at(8) }, secretMemory: { 10: 255 } }).gpr[A], 0xff0000n);
    assert.equal(run({ code: '0f b6 01', gpr: { [C]: at(8) }, secretMemory: { 9: 255 } }).gpr[A], 0n); // movzx
    const exchanged = run({ code: '48 87 c8', secret: { [A]: 0xffn } }); // xchg rax, rcx
    assert.deepEqual([exchanged.gpr[A], exchanged.gpr[C]], [0n, 0xffn]);
    assert.equal(run({ code: '48 0f c8', secret: { [A]: 0xffn } }).gpr[A], 0xffn << 56n); // bswap rax
  });

  it('push and pop, and string moves, too', () => {
    const pushed = run({ code: '50', secret: { [A]: 0xff0000n } });
    assert.deepEqual([...pushed.memory.subarray(120, 128)], [0, 0, 255, 0, 0, 0, 0, 0]);
    assert.equal(run({ code: '58', secretMemory: { 129: 255 } }).gpr[A], 0xff00n);
    const moved = run({ code: '48 a5', gpr: { [SI]: at(8), [DI]: at(40) }, secretMemory: { 15: 255 } });
    assert.deepEqual([moved.memory[47], moved.memory[46]], [255, 0]);
  });

  it('a clean store cleans, and only the bytes that it writes', () => {
    const memory = { 8: 255, 9: 255, 10: 255 };
    const stored = run({ code: '66 89 01', gpr: { [C]: at(8) }, secretMemory: memory }); // mov [rcx], ax
    assert.deepEqual([...stored.memory.subarray(8, 11)], [0, 0, 255]);
  });

  it('masks and shifts cut off what they cut off', () => {
    assert.equal(run({ code: '25 ff 00 00 00', secret: { [A]: ALL } }).gpr[A], 0xffn); // and eax, 0xff
    assert.equal(run({ code: '21 c8', gpr: { [C]: 0xf0n }, secret: { [A]: ALL } }).gpr[A], 0xf0n); // and eax, ecx
    assert.equal(run({ code: '83 c8 ff', secret: { [A]: ALL } }).gpr[A], 0n); // or eax, -1
    assert.equal(run({ code: '48 c1 e8 08', secret: { [A]: 0xff00n } }).gpr[A], 0xffn); // shr rax, 8
    assert.equal(run({ code: 'd3 e0', gpr: { [C]: 4n }, secret: { [A]: 0xfn } }).gpr[A], 0xf0n); // shl eax, cl
    assert.equal(run({ code: 'c1 c0 08', secret: { [A]: 0xff000000n } }).gpr[A], 0xffn); // rol eax, 8
  });

  it('a register xored with itself, or less itself, is clean, and so are the flags', () => {
    for (const code of ['31 c0', '48 31 c0', '29 c0', '45 31 c0', '28 c0'])
      if (code !== '45 31 c0') {
        const { gpr, result, aux } = run({ code, secret: { [A]: 0xffn } });
        assert.deepEqual([code, gpr[A], result, aux], [code, 0n, 0n, 0n]);
      }
    assert.notEqual(run({ code: '31 c8', secret: { [A]: 0xffn } }).gpr[A], 0n); // another register
  });

  it('sums smear upwards only, products and comparisons into what they give', () => {
    assert.equal(run({ code: '01 c8', secret: { [C]: 0xff00n } }).gpr[A], 0xffffff00n); // add eax, ecx
    assert.equal(run({ code: '48 8d 04 08', secret: { [C]: 1n << 63n } }).gpr[A], 1n << 63n); // lea rax, [rax+rcx]
    const compared = run({ code: '39 c8', secret: { [C]: 1n } }); // cmp eax, ecx
    assert.notEqual(compared.result | compared.aux, 0n);
    assert.equal(compared.gpr[A], 0n);
    assert.equal(run({ code: '0f 94 c2' }).gpr[D], 0n); // setz dl
  });

  it('an address that is secret makes what is loaded no secret, unless that is asked for', () => {
    const sample = { code: '8b 01', gpr: { [C]: at(8) }, secret: { [C]: 0xffn } };
    assert.equal(run(sample).gpr[A], 0n);
    const strict = new Tracker(64);
    strict.machine.engine.tracksAddresses = true;
    const bits = noSecrets();
    bits.gpr[C] = 0xffn;
    const gpr = new Array<bigint>(16).fill(0n);
    gpr[C] = at(8);
    const code = Buffer.from('8b01', 'hex');
    strict.run({ code, mode: 64, gpr, rflags: 2n, memory: new Uint8Array(WINDOW_SIZE) } as never, bits);
    assert.equal(strict.shadows.gpr[A], 0xffffffffn);
  });
});
