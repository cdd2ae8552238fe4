import { TpmWriter } from '../buffer';
import { command, type CommandRow } from '../command';
import { Alg, Cc, ObjectAttribute, Rc } from '../constants';
import { curveParameters, curveBytes, generate, multiply } from '../ecc';
import { keyAt } from '../entities';
import { fail, failHandle, numbered, ofHandle, ofParameter } from '../error';
import { curve, point } from '../parameters';
import { has, pointBytes, writeScheme, NO_SCHEME } from '../public-area';

/** Part 3, clauses 14.4 to 14.6 */
export const eccCommands: readonly CommandRow[] = [
  command(Cc.ECDH_KeyGen, 'ECDH_KeyGen', { handles: [{ kind: 'object' }], encrypts: true }, (x) => {
    const { area } = numbered(
      (code) => ofHandle(code, 1),
      () => keyAt(x.tpm, x.handles[0] ?? 0),
    );
    if (area.type !== Alg.ECC) failHandle(Rc.KEY, 1);
    const ephemeral = generate(area.curve, x.tpm.drbg);
    const shared = multiply(area.curve, ephemeral.secret, area.point);
    x.out.sized(pointBytes(shared)).sized(pointBytes(ephemeral.point));
  }),
  command(
    Cc.ECDH_ZGen,
    'ECDH_ZGen',
    { handles: [{ kind: 'object', role: 'user' }], parameters: [point], encrypts: true },
    (x, given) => {
      const { area, sensitive } = numbered(
        (code) => ofHandle(code, 1),
        () => keyAt(x.tpm, x.handles[0] ?? 0),
      );
      if (area.type !== Alg.ECC) failHandle(Rc.KEY, 1);
      const { RESTRICTED, DECRYPT } = ObjectAttribute;
      if (has(area, RESTRICTED) || !has(area, DECRYPT)) failHandle(Rc.ATTRIBUTES, 1);
      if (area.scheme.alg !== Alg.ECDH && area.scheme.alg !== Alg.NULL) failHandle(Rc.SCHEME, 1);
      const shared = numbered(
        (code) => ofParameter(code, 1),
        () => multiply(area.curve, sensitive?.secret ?? fail(Rc.KEY), given),
      );
      x.out.sized(pointBytes(shared));
    },
  ),
  command(Cc.ECC_Parameters, 'ECC_Parameters', { parameters: [curve] }, ({ out }, id) => {
    const scheme = writeScheme(new TpmWriter(), NO_SCHEME).finish();
    out
      .u16(id)
      .u16(curveBytes(id) * 8)
      .raw(scheme)
      .raw(scheme);
    for (const number of curveParameters(id)) out.sized(number);
  }),
];
