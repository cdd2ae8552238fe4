import { CONTROL_WORDS } from '../../emulator/arch/controls';
import { EXIT_REASONS, type ExitReasonSymbol } from '../../emulator/arch/exit-reasons';
import type { ConformanceRow } from './row';

/** Exit reasons that cannot occur on this platform, each with the reason: SMM, and instructions that it does not have. */
export const UNREACHABLE: Readonly<Partial<Record<ExitReasonSymbol, string>>> = {
  IO_SMI: 'no system-management mode',
  OTHER_SMI: 'no system-management mode',
  RSM: 'no system-management mode: RSM is #UD',
  ENTRY_FAILURE_MACHINE_CHECK: 'nothing raises machine checks',
  ENCLS: 'no SGX',
  ENCLV: 'no SGX',
  XSAVES: 'no supervisor state components: IA32_XSS is always 0',
  XRSTORS: 'no supervisor state components: IA32_XSS is always 0',
  PCONFIG: 'no PCONFIG',
  SPP_EVENT: 'no sub-page permissions',
  UMWAIT: 'no WAITPKG',
  TPAUSE: 'no WAITPKG',
  LOADIWKEY: 'no Key Locker',
  ENQCMD_PASID: 'no ENQCMD',
  ENQCMDS_PASID: 'no ENQCMD',
  BUS_LOCK: 'no bus-lock detection',
  INSTRUCTION_TIMEOUT: 'no instruction timeout',
  SEAMCALL: 'no SEAM',
  TDCALL: 'no SEAM',
  RDMSRLIST: 'no MSRLIST',
  WRMSRLIST: 'no MSRLIST',
};

const announced = (word: keyof typeof CONTROL_WORDS, symbol: string): boolean => {
  const rows: Readonly<Record<string, { readonly implemented: boolean } | undefined>> = CONTROL_WORDS[word].controls;
  return rows[symbol]?.implemented ?? false;
};

/** Exit reasons that occur only where something else is announced */
const CONDITIONAL: Readonly<Partial<Record<ExitReasonSymbol, () => boolean>>> = {
  TPR_BELOW_THRESHOLD: () => announced('primary', 'USE_TPR_SHADOW'),
  APIC_ACCESS: () => announced('secondary', 'VIRTUALIZE_APIC_ACCESSES'),
  VIRTUALIZED_EOI: () => announced('secondary', 'VIRTUAL_INTERRUPT_DELIVERY'),
  APIC_WRITE: () => announced('secondary', 'APIC_REGISTER_VIRTUALIZATION'),
  INVPCID: () => announced('secondary', 'ENABLE_INVPCID'),
  PML_FULL: () => announced('secondary', 'ENABLE_PML'),
};

/** Every exit reason that can occur and every control that is announced, as a case names it in `covers`. */
export function toBeCovered(): string[] {
  const reasons = (Object.keys(EXIT_REASONS) as ExitReasonSymbol[]).filter(
    (symbol) => !(symbol in UNREACHABLE) && (CONDITIONAL[symbol]?.() ?? true),
  );
  const controls = Object.entries(CONTROL_WORDS).flatMap(([word, { controls: rows }]) =>
    Object.entries(rows)
      .filter(([, row]) => row.implemented)
      .map(([symbol]) => `control.${word}.${symbol}`),
  );
  return [...reasons.map((symbol) => `exit.${symbol}`), ...controls];
}

/** One row for each of them: passes when a case about it passed as machine code or in `elsewhere`. */
export function coverageRows(rows: readonly ConformanceRow[]): ConformanceRow[] {
  const covered = new Set(rows.filter((row) => row.here === 'pass').flatMap((row) => row.covers));
  for (const name of Object.keys(ELSEWHERE)) covered.add(name);
  return toBeCovered().map((name) => ({
    group: 'coverage',
    name,
    covers: [],
    section: '',
    here: covered.has(name) ? 'pass' : 'fail',
    bochs: 'not run',
    ...(!covered.has(name) && { hereDetail: 'no case about it passes' }),
    ...(name in ELSEWHERE && { explanation: `tested in ${ELSEWHERE[name] ?? ''}` }),
  }));
}

/** What a program on one processor cannot bring about, and the test that does. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  'exit.INIT_SIGNAL': 'test/vmx/vm-exit.test.ts',
  'exit.SIPI': 'test/vmx',
  'control.primary.ACTIVATE_SECONDARY_CONTROLS': 'every case with a secondary control',
};
