/** Exceptions of the architecture (SDM vol. 3, table 6-1 and 6.15). */
export interface ExceptionRow {
  readonly vector: number;
  /** "#PF" */
  readonly mnemonic: string;
  readonly name: string;
  readonly kind: 'fault' | 'trap' | 'fault/trap' | 'interrupt' | 'abort';
  readonly errorCode: boolean;
  /** How a second exception during delivery combines (SDM vol. 3, table 6-4) */
  readonly class: 'benign' | 'contributory' | 'page fault' | 'double fault';
}

const row = (
  vector: number,
  mnemonic: string,
  name: string,
  kind: ExceptionRow['kind'],
  errorCode: boolean,
  of: ExceptionRow['class'] = 'benign',
): ExceptionRow => ({ vector, mnemonic, name, kind, errorCode, class: of });

export const EXCEPTIONS: readonly ExceptionRow[] = [
  row(0, '#DE', 'divide error', 'fault', false, 'contributory'),
  row(1, '#DB', 'debug exception', 'fault/trap', false),
  row(2, 'NMI', 'non-maskable interrupt', 'interrupt', false),
  row(3, '#BP', 'breakpoint', 'trap', false),
  row(4, '#OF', 'overflow', 'trap', false),
  row(5, '#BR', 'BOUND range exceeded', 'fault', false),
  row(6, '#UD', 'invalid opcode', 'fault', false),
  row(7, '#NM', 'device not available', 'fault', false),
  row(8, '#DF', 'double fault', 'abort', true, 'double fault'),
  row(10, '#TS', 'invalid TSS', 'fault', true, 'contributory'),
  row(11, '#NP', 'segment not present', 'fault', true, 'contributory'),
  row(12, '#SS', 'stack-segment fault', 'fault', true, 'contributory'),
  row(13, '#GP', 'general protection', 'fault', true, 'contributory'),
  row(14, '#PF', 'page fault', 'fault', true, 'page fault'),
  row(16, '#MF', 'x87 floating-point error', 'fault', false),
  row(17, '#AC', 'alignment check', 'fault', true),
  row(18, '#MC', 'machine check', 'abort', false),
  row(19, '#XM', 'SIMD floating-point exception', 'fault', false),
  row(20, '#VE', 'virtualization exception', 'fault', false, 'page fault'),
  row(21, '#CP', 'control-protection exception', 'fault', true, 'contributory'),
];

export const Vector = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
  VE: 20,
  CP: 21,
} as const;

export const exceptionRow = (vector: number): ExceptionRow | undefined =>
  EXCEPTIONS.find((candidate) => candidate.vector === vector);

/** "#PF", "NMI", or "vector 0x41" for everything without a name. */
export const vectorName = (vector: number): string =>
  exceptionRow(vector)?.mnemonic ?? `vector 0x${vector.toString(16)}`;

/** Page-fault error code in words (SDM vol. 3, 4.7): "write, user, page not present". */
export function describePageFault(errorCode: number): string {
  const words = [errorCode & 16 ? 'instruction fetch' : errorCode & 2 ? 'write' : 'read'];
  words.push(errorCode & 4 ? 'user mode' : 'supervisor mode');
  words.push(errorCode & 1 ? 'protection violation' : 'page not present');
  if (errorCode & 8) words.push('reserved bit set');
  if (errorCode & 32) words.push('protection key');
  return words.join(', ');
}
