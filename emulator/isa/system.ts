import { i32 } from '../wasm/expression';
import type { Meaning } from './context';
import { type ExitRule, row, type RowDefinition, type RowOptions } from './row';

/** Instructions on processor state beyond the general registers: all helpers, except fences and cache-line flushes. */

const system = (
  mnemonic: string,
  notation: string,
  operands: string,
  helper: string,
  summary: string,
  exit?: ExitRule,
  more: Partial<RowOptions> = {},
): RowDefinition => row(mnemonic, notation, operands, summary, { helper, ...(exit && { exit }), ...more });

const nothing: Meaning = () => undefined;

/** CLFLUSH behaves as a load of one byte towards paging and segmentation (SDM vol. 2, CLFLUSH). */
const touch: Meaning = (x) => {
  x.f.let(x.read(0));
};

/** ARPL: raises the destination's RPL to the source's, ZF tells whether it did. */
const adjustPrivilege: Meaning = (x) => {
  const { f } = x;
  x.raiseIf(f.isZero(x.protectedMode()), 6);
  const destination = f.let(x.readForWrite(0));
  const rpl = f.let(f.and(x.read(1), i32(3)));
  const lower = f.let(f.ltU(f.and(destination, i32(3)), rpl));
  x.write(0, f.let(f.select(lower, f.or(f.and(destination, i32(0xfffc)), rpl), destination)));
  x.setZero(lower);
};

const LONG = { only: 'long' } as const;
const F64 = { size64: 'f64' } as const;
const IO = { size64: 'max32' } as const;

export const systemRows: readonly RowDefinition[] = [
  system('CPUID', '0F A2', '', 'cpuid', 'Processor identification', 'CPUID'),
  system('HLT', 'F4', '', 'hlt', 'Halts until an interrupt', 'HLT'),
  system('IN', 'E4 ib', 'AL,Ib', 'in', 'Reads a port', 'IO', IO),
  system('IN', 'E5 ib', 'eAX,Ib', 'in', 'Reads a port', 'IO', IO),
  system('IN', 'EC', 'AL,DX', 'in', 'Reads a port', 'IO', IO),
  system('IN', 'ED', 'eAX,DX', 'in', 'Reads a port', 'IO', IO),
  system('OUT', 'E6 ib', 'Ib,AL', 'out', 'Writes a port', 'IO', IO),
  system('OUT', 'E7 ib', 'Ib,eAX', 'out', 'Writes a port', 'IO', IO),
  system('OUT', 'EE', 'DX,AL', 'out', 'Writes a port', 'IO', IO),
  system('OUT', 'EF', 'DX,eAX', 'out', 'Writes a port', 'IO', IO),
  system('WRMSR', '0F 30', '', 'wrmsr', 'Writes a model-specific register', 'WRMSR'),
  system('RDTSC', '0F 31', '', 'rdtsc', 'Reads the time-stamp counter', 'RDTSC'),
  system('RDMSR', '0F 32', '', 'rdmsr', 'Reads a model-specific register', 'RDMSR'),
  system('RDPMC', '0F 33', '', 'rdpmc', 'Reads a performance counter', 'RDPMC'),
  system('RDTSCP', '0F 01 F9', '', 'rdtscp', 'Reads the time-stamp counter and TSC_AUX', 'RDTSCP'),
  system('MOV', '0F 20 /r', 'Ry,Cy', 'mov_from_cr', 'Reads a control register', 'MOV_FROM_CR', F64),
  system('MOV', '0F 22 /r', 'Cy,Ry', 'mov_to_cr', 'Writes a control register', 'MOV_TO_CR', F64),
  system('MOV', '0F 21 /r', 'Ry,Dy', 'mov_from_dr', 'Reads a debug register', 'MOV_DR', F64),
  system('MOV', '0F 23 /r', 'Dy,Ry', 'mov_to_dr', 'Writes a debug register', 'MOV_DR', F64),
  system('CLTS', '0F 06', '', 'clts', 'Clears CR0.TS', 'CLTS'),
  system('LMSW', '0F 01 /6', 'Ew', 'lmsw', 'Loads the machine status word', 'LMSW'),
  system('SMSW', '0F 01 /4', 'Ev', 'smsw', 'Stores the machine status word', 'SMSW'),
  system('SGDT', '0F 01 /0', 'M', 'sgdt', 'Stores GDTR', 'GDTR_IDTR', F64),
  system('SIDT', '0F 01 /1', 'M', 'sidt', 'Stores IDTR', 'GDTR_IDTR', F64),
  system('LGDT', '0F 01 /2', 'M', 'lgdt', 'Loads GDTR', 'GDTR_IDTR', F64),
  system('LIDT', '0F 01 /3', 'M', 'lidt', 'Loads IDTR', 'GDTR_IDTR', F64),
  system('INVLPG', '0F 01 /7', 'Mb', 'invlpg', 'Invalidates the mapping of one page', 'INVLPG'),
  system('INVPCID', '66 0F 38 82 /r', 'Gy,M', 'invpcid', 'Invalidates mappings by PCID', 'INVPCID', F64),
  system('SWAPGS', '0F 01 F8', '', 'swapgs', 'Exchanges GS.base with KERNEL_GS_BASE', undefined, LONG),
  system('SLDT', '0F 00 /0', 'Ev', 'sldt', 'Stores LDTR', 'LDTR_TR'),
  system('STR', '0F 00 /1', 'Ev', 'str', 'Stores TR', 'LDTR_TR'),
  system('LLDT', '0F 00 /2', 'Ew', 'lldt', 'Loads LDTR', 'LDTR_TR'),
  system('LTR', '0F 00 /3', 'Ew', 'ltr', 'Loads TR', 'LDTR_TR'),
  system('VERR', '0F 00 /4', 'Ew', 'verr', 'Tests a segment for reading'),
  system('VERW', '0F 00 /5', 'Ew', 'verw', 'Tests a segment for writing'),
  system('LAR', '0F 02 /r', 'Gv,Ew', 'lar', 'Loads access rights'),
  system('LSL', '0F 03 /r', 'Gv,Ew', 'lsl', 'Loads a segment limit'),
  system('LES', 'C4 /r', 'Gv,Mp', 'load_far_pointer', 'Loads ES and a register', undefined, { only: 'legacy' }),
  system('LDS', 'C5 /r', 'Gv,Mp', 'load_far_pointer', 'Loads DS and a register', undefined, { only: 'legacy' }),
  system('LSS', '0F B2 /r', 'Gv,Mp', 'load_far_pointer', 'Loads SS and a register'),
  system('LFS', '0F B4 /r', 'Gv,Mp', 'load_far_pointer', 'Loads FS and a register'),
  system('LGS', '0F B5 /r', 'Gv,Mp', 'load_far_pointer', 'Loads GS and a register'),
  system('SYSCALL', '0F 05', '', 'syscall', 'Fast system call'),
  system('SYSRET/SYSRET/SYSRETQ', '0F 07', '', 'sysret', 'Returns from SYSCALL'),
  system('SYSENTER', '0F 34', '', 'sysenter', 'Fast system call'),
  system('SYSEXIT/SYSEXIT/SYSEXITQ', '0F 35', '', 'sysexit', 'Returns from SYSENTER'),
  system('INVD', '0F 08', '', 'invd', 'Invalidates caches', 'INVD'),
  system('WBINVD', '0F 09', '', 'wbinvd', 'Writes back and invalidates caches', 'WBINVD'),
  system('MONITOR', 'NP 0F 01 C8', '', 'monitor', 'Sets up an address to watch', 'MONITOR'),
  system('MWAIT', 'NP 0F 01 C9', '', 'mwait', 'Waits for a write to the watched address', 'MWAIT'),
  system('CLAC', 'NP 0F 01 CA', '', 'clac', 'Clears RFLAGS.AC: SMAP applies'),
  system('STAC', 'NP 0F 01 CB', '', 'stac', 'Sets RFLAGS.AC: lifts SMAP'),
  system('FXSAVE/FXSAVE/FXSAVE64', 'NP 0F AE /0', 'M', 'fxsave', 'Saves x87 and SSE registers'),
  system('FXRSTOR/FXRSTOR/FXRSTOR64', 'NP 0F AE /1', 'M', 'fxrstor', 'Restores x87 and SSE registers'),
  system('XSAVE/XSAVE/XSAVE64', 'NP 0F AE /4', 'M', 'xsave', 'Saves state components'),
  system('XRSTOR/XRSTOR/XRSTOR64', 'NP 0F AE /5', 'M', 'xrstor', 'Restores state components'),
  system('XSAVEOPT/XSAVEOPT/XSAVEOPT64', 'NP 0F AE /6', 'M', 'xsaveopt', 'Saves state components that are in use'),
  system(
    'XRSTORS/XRSTORS/XRSTORS64',
    'NP 0F C7 /3',
    'M',
    'xrstors',
    "Restores state components, also the supervisor's",
    'XSAVES',
  ),
  system('XSAVEC/XSAVEC/XSAVEC64', 'NP 0F C7 /4', 'M', 'xsavec', 'Saves state components in compacted form'),
  system(
    'XSAVES/XSAVES/XSAVES64',
    'NP 0F C7 /5',
    'M',
    'xsaves',
    "Saves state components, also the supervisor's",
    'XSAVES',
  ),
  system('XGETBV', 'NP 0F 01 D0', '', 'xgetbv', 'Reads an extended control register'),
  system('XSETBV', 'NP 0F 01 D1', '', 'xsetbv', 'Writes an extended control register', 'XSETBV'),
  system('RDRAND', 'NP/66 0F C7 /6', 'Rv', 'rdrand', 'Random number', 'RDRAND'),
  system('RDSEED', 'NP/66 0F C7 /7', 'Rv', 'rdseed', 'Random seed', 'RDSEED'),
  row('ARPL', '63 /r', 'Ew,Gw', 'Adjusts a selector privilege level', { meaning: adjustPrivilege, only: 'legacy' }),
  row('LFENCE', 'NP 0F AE /5 mod=11', '', 'Orders loads', { meaning: nothing }),
  row('MFENCE', 'NP 0F AE /6 mod=11', '', 'Orders memory accesses', { meaning: nothing }),
  row('SFENCE', 'NP 0F AE /7 mod=11', '', 'Orders stores', { meaning: nothing }),
  row('CLFLUSH', 'NP 0F AE /7', 'Mb', 'Flushes a cache line', { meaning: touch }),
  row('CLFLUSHOPT', '66 0F AE /7', 'Mb', 'Flushes a cache line', { meaning: touch }),
];
