// Which Rust builds the wasm, and how cargo is called for it.
//
// Wherever rustup can download, the wasm target's standard library is one `rustup target add` away. Where it cannot
// (rustup's server is out of reach, or Rust is not rustup's), Debian's `rustc-web`, made to build Debian's browsers, with
// `rust-web-src` and `lld-19` builds that library from source. The two compilers differ in version, so the wasm build has
// a target folder of its own, and no `rust-toolchain.toml` pins either of them.

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { install } from './apt.mjs';
import { output, Remedy, run, step, which } from './run.mjs';

const target = 'wasm32-unknown-unknown';
const debianPackages = ['rustc-web', 'cargo-web', 'rust-web-src', 'lld-19'];

/** Refuses a machine without Rust or without a C linker before any work is spent on it. */
export async function ensureRust() {
  if (!which('cargo') || !output('cargo', ['--version'])) {
    throw new Remedy(
      'Rust is missing. Install it from https://rustup.rs (stable, default profile), then run this again.',
    );
  }
  if (!which('cc')) await install(['gcc', 'libc6-dev'], 'A C linker (cc)', "install your system's C compiler");
}

/** Makes sure of `cargo fmt` and `cargo clippy` for the native toolchain. */
export async function ensureRustTools() {
  for (const [tool, component] of [
    ['fmt', 'rustfmt'],
    ['clippy', 'clippy'],
  ]) {
    if (output('cargo', [tool, '--version'])) continue;
    if (!which('rustup'))
      throw new Remedy(`\`cargo ${tool}\` is missing. Install ${component} for your Rust toolchain.`);
    await step(`rustup component add ${component}`, () =>
      run('rustup', ['component', 'add', component]).then(() => ''),
    );
  }
}

const hasWasmStd = () => {
  const sysroot = output('rustc', ['--print', 'sysroot']);
  return sysroot !== undefined && existsSync(join(sysroot, 'lib/rustlib', target, 'lib'));
};

const hasDebian = () =>
  existsSync('/usr/bin/rustc') &&
  existsSync('/usr/lib/rustlib/src/rust/library/std') &&
  which('wasm-ld-19') !== undefined;

const rustup = { name: 'rustc with its wasm target', env: {}, args: [] };

const debian = {
  name: "Debian's rustc-web",
  // Debian's compiler is a stable release; RUSTC_BOOTSTRAP lets it take `-Z build-std`.
  env: {
    PATH: `/usr/bin${delimiter}${process.env.PATH}`,
    RUSTC: '/usr/bin/rustc',
    RUSTC_BOOTSTRAP: '1',
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: 'wasm-ld-19',
  },
  args: ['-Zbuild-std=std,panic_abort'],
  clippy: 'rust-web-clippy',
};

/**
 * The toolchain that builds for wasm, installed if need be. WEFT_WASM_TOOLCHAIN=rustup or =debian insists on one.
 * @returns {Promise<{name: string, env: Record<string, string>, args: string[], clippy?: string}>}
 */
export async function wasmToolchain() {
  const wanted = process.env.WEFT_WASM_TOOLCHAIN;
  if (wanted !== 'debian') {
    if (hasWasmStd()) return rustup;
    if (wanted !== 'rustup' && hasDebian()) return debian;
    if (which('rustup')) {
      const added = await step(`rustup target add ${target}`, () =>
        run('rustup', ['target', 'add', target]).then(() => ''),
      ).then(
        () => true,
        () => false,
      );
      if (added && hasWasmStd()) return rustup;
    }
    if (wanted === 'rustup')
      throw new Remedy(`rustup could not add ${target}. Check the network, then run this again.`);
  }
  if (!hasDebian())
    await install(debianPackages, `A Rust compiler for ${target}`, `\`rustup target add ${target}\` with a network`);
  return debian;
}

/** Makes sure of clippy for that toolchain. */
export async function ensureWasmClippy(toolchain) {
  if (toolchain.clippy && !existsSync('/usr/bin/clippy-driver')) {
    await install([toolchain.clippy], 'clippy for the wasm build', `install ${toolchain.clippy}`);
  }
}

/** Calls cargo for wasm: `command` is `build` or `clippy`, `features` are the target's CPU features, such as `+simd128`. */
export function wasmCargo(toolchain, command, { targetDir, features, rest = [] }) {
  const flags = ['-C', `target-feature=${features.join(',')}`, '--cfg', 'getrandom_backend="wasm_js"'];
  const args = [
    command,
    '--profile',
    'web',
    '--target',
    target,
    '--lib',
    '--no-default-features',
    '--locked',
    '--target-dir',
    targetDir,
  ];
  // The encoded form beats RUSTFLAGS from outside, and needs no quoting.
  const env = { ...toolchain.env, CARGO_ENCODED_RUSTFLAGS: flags.join('\x1f') };
  return run('cargo', [...args, ...toolchain.args, ...rest], { env });
}
