"""Builds the native engine; everything else about the project is in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, setup

DOOR = Path("src/keystead/_native/batch.pyx")
CORE = Path("native")


def native_engine() -> list[Extension]:
    """`keystead._native.batch`: the Cython door and the C11 core, linked with libcrypto."""
    if not DOOR.exists():
        return []
    from Cython.Build import cythonize

    headers = [*CORE.glob("include/**/*.h"), *CORE.glob("src/**/*.h"), *DOOR.parent.glob("*.pxd")]
    engine = Extension(
        "keystead._native.batch",
        sources=[DOOR.as_posix(), *sorted(path.as_posix() for path in CORE.glob("src/*.c"))],
        depends=sorted(path.as_posix() for path in headers),
        include_dirs=[(CORE / "include").as_posix()],
        libraries=["crypto"],
        extra_compile_args=["-O3", "-std=c11", "-Wall", "-Wextra"],
    )
    # The generated C goes to build/, so that the source folders hold sources only.
    built: list[Extension] = cythonize(
        [engine],
        build_dir="build/cython",
        include_path=["src"],
        compiler_directives={"language_level": "3"},
    )
    return built


setup(ext_modules=native_engine())
