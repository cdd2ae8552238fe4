import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { attributes } from '../../debug-adapter/launch/attributes';
import { descriptionOf, readDescription } from '../../extension/configuration/images';

const root = process.cwd();

interface Schema {
  description?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: boolean;
}
interface Manifest {
  contributes: {
    debuggers: { configurationAttributes: { launch: Schema }; initialConfigurations: object[] }[];
    commands: { command: string; icon?: string | { light: string; dark: string } }[];
    menus: Record<string, { command: string }[]>;
    keybindings: { command: string }[];
    views: Record<string, { id: string; icon: string }[]>;
    languages: { configuration: string }[];
  };
}
const { contributes } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Manifest;
const launch = contributes.debuggers[0]?.configurationAttributes.launch ?? {};

describe('package.json', () => {
  it('describes exactly the attributes that the adapter takes', () => {
    // noDebug is VS Code's own: it sets it for "Run Without Debugging".
    const taken = attributes.map(({ name }) => name).filter((name) => name !== 'noDebug');
    assert.deepEqual(Object.keys(launch.properties ?? {}).sort(), taken.sort());
    assert.equal(launch.additionalProperties, false);
  });

  it('says of each attribute, at every depth, what it is for', () => {
    const check = (schema: Schema, where: string): void => {
      for (const [name, inner] of Object.entries(schema.properties ?? {})) {
        assert.ok((inner.description ?? '').length > 20, `${where}${name} has no description`);
        check(inner, `${where}${name}.`);
        if (inner.items) check(inner.items, `${where}${name}[].`);
      }
    };
    check(launch, '');
  });

  it('binds keys, menus and icons only to what exists', () => {
    const commands = new Set(contributes.commands.map(({ command }) => command));
    const used = [...Object.values(contributes.menus).flat(), ...contributes.keybindings];
    // VS Code has these itself, without keys of their own.
    const builtIn = ['workbench.action.debug.stepBack', 'workbench.action.debug.reverseContinue'];
    for (const { command } of used) assert.ok(commands.has(command) || builtIn.includes(command), command);
    const icons = contributes.commands.flatMap(({ icon }) => (typeof icon === 'object' ? [icon.light, icon.dark] : []));
    const views = Object.values(contributes.views).flat();
    const files = [...icons, ...views.map(({ icon }) => icon), ...contributes.languages.map((l) => l.configuration)];
    for (const file of files) assert.ok(existsSync(path.join(root, file)), `${file} does not exist`);
  });
});

describe('undervisor.json', () => {
  it('names its images and the command that makes them', () => {
    const text = readFileSync(path.join(root, 'samples/cloudvisor/undervisor.json'), 'utf8');
    const { images, build } = readDescription(text);
    assert.deepEqual(images, ['build/vmm.elf', 'build/monitor.elf', 'build/guest.elf', 'build/disk.img']);
    assert.ok(build);
  });

  it('is read leniently: complaints are the adapter\u2019s', () => {
    for (const text of ['', 'null', '[]', '{', '{"program": 3, "modules": [null, 4, {}, {"file": 5}]}']) {
      assert.deepEqual(readDescription(text), { images: [] });
    }
    assert.deepEqual(descriptionOf({ program: 'a.elf', symbols: [{ file: 'b.elf' }] }), { images: ['a.elf', 'b.elf'] });
  });
});
