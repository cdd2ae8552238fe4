import type { Area, Range } from '../isolation/areas';
import type { LayerImage } from '../isolation/resolve';
import { PolicyError, REGISTER_NAMES, type EncryptionRule, type IsolationPolicy } from '../isolation/policy';
import type { DeclaredFunction, HostRange } from '../../machine/secrecy/api';
import type { ResolvedSecrecy } from './secrecy-watch';

/**
 * Finds what a policy says of secrets in the images that are loaded.
 * @throws PolicyError for a layer, symbol or function that there is not
 */
export function resolveSecrecy(
  policy: IsolationPolicy,
  images: readonly LayerImage[],
  rangesOf: (areas: readonly Area[], where: string) => readonly Range[],
): ResolvedSecrecy {
  const all = (areas: readonly Area[], where: string): HostRange[] =>
    rangesOf(areas, where).map(({ start, end }) => ({ start: Number(start), end: Number(end) }));
  return {
    policy,
    shared: all(policy.shared, 'shared'),
    sharedByGuests: policy.shared.flatMap((area) =>
      area.kind === 'guest' ? [{ guest: area.guest, start: Number(area.start), end: Number(area.end) }] : [],
    ),
    secrets: all(policy.secrets, 'secrets'),
    encryption: policy.encryption.map((rule) => declaredFunction(rule, images)),
  };
}

function declaredFunction(rule: EncryptionRule, images: readonly LayerImage[]): DeclaredFunction {
  const { layer, function: name, output, length, keyed, iv, key } = rule;
  const register = (given: string): number => REGISTER_NAMES.indexOf(given);
  const entry = images
    .filter((image) => image.layer === layer)
    .flatMap(({ elf }) => elf.symbols().find((symbol) => symbol.name === name && symbol.section !== 0) ?? [])[0];
  if (!entry)
    throw new PolicyError(
      `isolation.encryption: no image of layer ${layer} has a function "${name}" in its symbol table`,
    );
  return {
    name,
    entry: entry.value,
    output: register(output),
    length: typeof length === 'number' ? { bytes: length } : { register: register(length) },
    keyed,
    iv: iv === undefined ? undefined : register(iv),
    key: key === undefined ? undefined : register(key),
  };
}
