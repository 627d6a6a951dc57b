#!/bin/sh
# run.sh HOST PROGRAM SECONDS: boots HOST, with PROGRAM beside it, in Bochs as an Ice Lake CPU. Prints what
# the program says and ends as it ends; a machine that stops otherwise, or takes SECONDS, is a failure.
set -eu
host=$1 program=$2 seconds=$3

work=$(mktemp -d)
bochs=
end() {
    [ -z "$bochs" ] || kill "$bochs" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
trap 'exit 1' INT TERM

mkdir -p "$work/iso/boot/grub"
cp "$host" "$work/iso/boot/host"
cp "$program" "$work/iso/boot/program"
cat >"$work/iso/boot/grub/grub.cfg" <<CFG
set timeout=0
menuentry keystead {
    multiboot /boot/host
    module /boot/program
}
CFG
grub-mkrescue -d /usr/lib/grub/i386-pc --compress=no -o "$work/iso.img" "$work/iso" 2>"$work/grub.log" ||
    { cat "$work/grub.log" >&2; exit 1; }

# ips: so many instructions are a second of the clocks that BIOS, GRUB and the serial port wait for. The
# program's clock is the TSC, which counts instructions.
cat >"$work/bochsrc" <<RC
config_interface: textconfig
display_library: term
cpu: model=corei7_icelake_u, count=1, ips=10000000, reset_on_triple_fault=0
clock: sync=none
megs: 512
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path="$work/iso.img", status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial
sound: driver=dummy
log: $work/log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
RC
echo continue >"$work/debugger" # Debian's Bochs has its debugger built in, and waits for a command

: >"$work/serial"
# Bochs goes on after a SIGTERM, so that timeout kills it a second later.
TERM=vt100 timeout -k 1 "$seconds" bochs -q -f "$work/bochsrc" -rc "$work/debugger" \
    >"$work/screen" 2>&1 </dev/null &
bochs=$!
tail -n +1 -f --pid="$bochs" "$work/serial" &
wait "$bochs" && ended=0 || ended=$?
wait
bochs=
case $ended in
124 | 137) echo "emulate: no end after $seconds seconds" >&2 && exit 1 ;;
esac
case $(tail -n 1 "$work/serial") in
"program: exit 0x0000000000000000") exit 0 ;;
"program: exit "* | "host: stopped "*) exit 1 ;;
esac
echo "emulate: Bochs ended before the program did" >&2
tail -n 20 "$work/log" >&2
exit 1
