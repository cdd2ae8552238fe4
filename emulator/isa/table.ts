import { arithmeticRows } from './arithmetic';
import { bitRows } from './bit';
import { controlFlowRows } from './control-flow';
import { flagRows } from './flags';
import { logicRows } from './logic';
import { moveRows } from './move';
import { multiplyDivideRows } from './multiply-divide';
import type { InstructionRow, RowDefinition } from './row';
import { row } from './row';
import { shiftRows } from './shifts';
import { stackRows } from './stack';
import { stringRows } from './string';
import { systemRows } from './system';
import { vmxRows } from './vmx';

const definitions: readonly RowDefinition[] = [
  ...arithmeticRows,
  ...logicRows,
  ...multiplyDivideRows,
  ...shiftRows,
  ...bitRows,
  ...moveRows,
  ...stackRows,
  ...controlFlowRows,
  ...stringRows,
  ...flagRows,
  ...systemRows,
  ...vmxRows,
];

/** The instruction table. A row's id is its index. */
export const INSTRUCTION_TABLE: readonly InstructionRow[] = definitions.map((definition, id) => ({
  id,
  ...definition,
}));

/** What every byte sequence that no row describes decodes to. */
export const UNDEFINED_ROW: InstructionRow = {
  id: INSTRUCTION_TABLE.length,
  ...row('(undefined)', '', '', 'No instruction of this processor: raises #UD', { helper: 'ud' }),
};
