// Where rustup can download, `rustup target add` and `rustup component add` bring the standard
// library of the wasm target and its source. Elsewhere (rustup's server is out of reach, or Rust is
// not rustup's), Debian's `rustc-web`, made to build Debian's browsers, builds that library from
// source with `rust-web-src` and `lld-19`. The two compilers differ in version, so the wasm build
// has a target folder of its own, and no `rust-toolchain.toml` pins either.

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { install } from './apt.mjs';
import { inRoot, inTurn, output, Remedy, run, step, which } from './run.mjs';

const target = 'wasm32-unknown-unknown';
const RELAXED = '+relaxed-simd';
const debianPackages = ['rustc-web', 'cargo-web', 'rust-web-src', 'lld-19'];

/** rustup cannot run twice at once. */
const callRustup = inTurn((...args) => run('rustup', args));

/** Fails at once on a machine without Rust or a C linker. */
export async function ensureRust() {
  if (!which('cargo') || !output('cargo', ['--version'])) {
    throw new Remedy(
      'Rust is missing. Install it from https://rustup.rs (stable, default profile), then run this again.',
    );
  }
  if (!which('cc')) await install(['gcc', 'libc6-dev'], 'A C linker (cc)', "install your system's C compiler");
}

/** Installs `cargo fmt` and `cargo clippy` for the native toolchain, if missing. */
export async function ensureRustTools() {
  for (const [tool, component] of [
    ['fmt', 'rustfmt'],
    ['clippy', 'clippy'],
  ]) {
    if (output('cargo', [tool, '--version'])) continue;
    if (!which('rustup'))
      throw new Remedy(`\`cargo ${tool}\` is missing. Install ${component} for your Rust toolchain.`);
    await step(`rustup component add ${component}`, () => callRustup('component', 'add', component).then(() => ''));
  }
}

/**
 * The standard library: compiled, for builds without threads; its source, for builds with threads.
 */
const hasRustup = () => {
  const sysroot = output('rustc', ['--print', 'sysroot']);
  if (sysroot === undefined) return false;
  return [`${target}/lib`, 'src/rust/library/std'].every((part) => existsSync(join(sysroot, 'lib/rustlib', part)));
};

const hasDebian = () =>
  existsSync('/usr/bin/rustc') &&
  existsSync('/usr/lib/rustlib/src/rust/library/std') &&
  which('wasm-ld-19') !== undefined;

// Builds the standard library with the flags of the build. The compilers are stable releases, and
// RUSTC_BOOTSTRAP lets them take `-Z`, and lets wasm-bindgen use `#[thread_local]`.
const buildStd = { env: { RUSTC_BOOTSTRAP: '1' }, args: ['-Zbuild-std=std,panic_abort'] };

const rustup = { name: 'rustc with its wasm target', env: {}, hasStd: true };

const debian = {
  name: "Debian's rustc-web",
  env: {
    PATH: `/usr/bin${delimiter}${process.env.PATH}`,
    RUSTC: '/usr/bin/rustc',
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: 'wasm-ld-19',
  },
  hasStd: false,
  clippy: 'rust-web-clippy',
};

/**
 * The toolchain that builds for wasm; installs it if needed. WEFT_WASM_TOOLCHAIN=rustup or =debian
 * picks one.
 */
export async function wasmToolchain() {
  const wanted = process.env.WEFT_WASM_TOOLCHAIN;
  if (wanted !== 'debian') {
    if (hasRustup()) return rustup;
    if (wanted !== 'rustup' && hasDebian()) return debian;
    if (which('rustup') && (await addToRustup()) && hasRustup()) return rustup;
    if (wanted === 'rustup')
      throw new Remedy(`rustup could not add ${target} and rust-src. Check the network, then run this again.`);
  }
  if (!hasDebian())
    await install(
      debianPackages,
      `A Rust compiler for ${target}`,
      `\`rustup target add ${target}\` and \`rustup component add rust-src\` with a network`,
    );
  return debian;
}

/** Says whether rustup could. */
async function addToRustup() {
  const add = async () => {
    await callRustup('target', 'add', target);
    await callRustup('component', 'add', 'rust-src');
  };
  return step(`rustup adds ${target} and rust-src`, add).then(
    () => true,
    () => false,
  );
}

/** Installs clippy for that toolchain, if missing. */
export async function ensureWasmClippy(toolchain) {
  if (toolchain.clippy && !existsSync('/usr/bin/clippy-driver')) {
    await install([toolchain.clippy], 'clippy for the wasm build', `install ${toolchain.clippy}`);
  }
}

/**
 * What the linker needs for threads: a shared memory that JavaScript makes, as large as 32 bits can
 * address, and the symbols from which wasm-bindgen gives each thread a stack and thread-local
 * storage.
 */
const threadLinkArgs = [
  '--shared-memory',
  '--import-memory',
  // js/src/worker/features.ts makes that memory, with the same initial size.
  `--initial-memory=${4 << 20}`,
  `--max-memory=${2 ** 32}`,
  ...['__wasm_init_tls', '__tls_size', '__tls_align', '__tls_base'].map((symbol) => `--export=${symbol}`),
];

/**
 * LLVM inlines functions of a quarter of its usual size into weft's own crate. The kernels say
 * themselves what must be inlined (`inline(always)`), and the rest is 6 % smaller when gzipped.
 */
const inlineLess = ['-C', 'llvm-args=-inline-threshold=50'];

/**
 * Runs cargo for wasm on the crate of `manifest`. `command` is `build` or `clippy`; `features` are
 * CPU features of the target, such as `+simd128`. `threads` also compiles the standard library,
 * since no toolchain has one with atomics. Relaxed SIMD is a flag of weft's own crate that no
 * dependency uses, so builds with and without it share compiled dependencies in one `targetDir`.
 */
export function wasmCargo(toolchain, command, { manifest = 'Cargo.toml', targetDir, features, threads, rest = [] }) {
  const shared = features.filter((feature) => feature !== RELAXED);
  if (threads) shared.push('+atomics', '+bulk-memory', '+mutable-globals');
  const flags = ['-C', `target-feature=${shared.join(',')}`, '--cfg', 'getrandom_backend="wasm_js"'];
  if (threads) flags.push(...threadLinkArgs.flatMap((arg) => ['-C', `link-arg=${arg}`]));
  const own = features.includes(RELAXED) ? [...inlineLess, '-C', `target-feature=${RELAXED}`] : inlineLess;
  const std = threads || !toolchain.hasStd ? buildStd : { env: {}, args: [] };
  const args = [
    command === 'build' ? 'rustc' : command,
    '--manifest-path',
    inRoot(manifest),
    '--profile',
    'web',
    '--target',
    target,
    '--lib',
    '--no-default-features',
    '--locked',
    '--target-dir',
    targetDir,
    ...std.args,
    '--',
    ...own,
    ...rest,
  ];
  // The encoded form overrides RUSTFLAGS of the environment and needs no quoting.
  const env = { ...toolchain.env, ...std.env, CARGO_ENCODED_RUSTFLAGS: flags.join('\x1f') };
  return run('cargo', args, { env });
}
