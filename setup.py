"""Builds the native engine; everything else about the project is in pyproject.toml."""

import platform
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DOOR = Path("src/keystead/_native/batch.pyx")
CORE = Path("native")
FLAGS = ["-O3", "-std=c11", "-Wall", "-Wextra", "-D_POSIX_C_SOURCE=200809L"]

# Sources that need instructions which not every CPU of the architecture has. Whether this one has
# them is asked at run time (native/src/ks_choose.c); native/Makefile has the same flags.
FLAGS_OF = {
    name: ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512ifma", "-mbmi2"]
    for name in ("p256_kernel_ifma.c", "ed25519_kernel_ifma.c")
}
X86_64 = platform.machine().lower() in {"x86_64", "amd64"}


class BuildEngine(build_ext):
    """Compiles the sources in `FLAGS_OF` with flags of their own."""

    def build_extension(self, ext: Extension) -> None:
        special = [source for source in ext.sources if Path(source).name in FLAGS_OF]
        ext.sources = [source for source in ext.sources if source not in special]
        for source in special:
            own = FLAGS_OF[Path(source).name] if X86_64 else []
            ext.extra_objects += self.compiler.compile(
                [source],
                output_dir=self.build_temp,
                include_dirs=ext.include_dirs,
                extra_postargs=[*FLAGS, *own],
                depends=ext.depends,
            )
        super().build_extension(ext)


def native_engine() -> list[Extension]:
    """`keystead._native.batch`: the Cython door and the C11 core, linked with libcrypto."""
    if not DOOR.exists():
        return []
    from Cython.Build import cythonize

    headers = [*CORE.glob("include/**/*.h"), *CORE.glob("src/**/*.h"), *DOOR.parent.glob("*.pxd")]
    engine = Extension(
        "keystead._native.batch",
        sources=[DOOR.as_posix(), *sorted(path.as_posix() for path in CORE.glob("src/**/*.c"))],
        depends=sorted(path.as_posix() for path in headers),
        include_dirs=[(CORE / "include").as_posix(), (CORE / "src").as_posix()],
        libraries=["crypto"],
        extra_compile_args=FLAGS,
    )
    # The generated C goes to build/, so that the source folders hold sources only.
    built: list[Extension] = cythonize(
        [engine],
        build_dir="build/cython",
        include_path=["src"],
        compiler_directives={"language_level": "3"},
    )
    return built


setup(ext_modules=native_engine(), cmdclass={"build_ext": BuildEngine})
