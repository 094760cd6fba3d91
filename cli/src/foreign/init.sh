#!/bin/busybox sh
# What runs on Linux in place of a distribution: it says which CPUs are online, takes each off and on as often as the command line's
# reveille.cycles says, stays for reveille.stay seconds, with reveille.work=1 works until a line is typed, with reveille.shell=1 is a shell
# until that is left, and switches the machine off.
# The first CPU goes by itself, since one has to stay.

bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
cpus=/sys/devices/system/cpu

# By the kernel's log, whose lines stay whole, and are out before the machine is switched off.
say() { echo "reveille: $*" > /dev/kmsg; }

online() {
    read -r list < $cpus/online
    say "online $list"
}

turn() {
    echo "$2" > "$1/online" || say "${1##*/} refuses online=$2"
}

clock() {
    read -r seconds _ < /proc/uptime
    clock=$((${seconds%.*} * 100 + 1${seconds#*.} - 100))
}

# Naps of a twentieth of a second, each in a process of its own, until /stop is there, and how long the longest took.
nap() {
    naps=0
    longest=0
    while [ ! -e /stop ]; do
        clock
        before=$clock
        $bb sleep 0.05
        clock
        took=$((clock - before))
        if [ $took -gt $longest ]; then longest=$took; fi
        naps=$((naps + 1))
    done
    say "napped $naps times, for $longest hundredths of a second at most"
}

# As many nap as there are CPUs.
work() {
    for cpu in $cpus/cpu[0-9]*; do nap & done
    say "works"
    read -r _
    : > /stop
    wait
}

cycles=0
stay=0
shell=0
work=0
read -r words < /proc/cmdline
for word in $words; do
    case $word in
        reveille.cycles=*) cycles=${word#*=} ;;
        reveille.stay=*) stay=${word#*=} ;;
        reveille.shell=*) shell=${word#*=} ;;
        reveille.work=*) work=${word#*=} ;;
    esac
done

online
cycle=0
while [ $cycle -lt "$cycles" ]; do
    for state in 0 1; do
        for cpu in $cpus/cpu[1-9]*; do
            if [ -e "$cpu/online" ]; then turn "$cpu" $state; fi
        done
        online
    done
    if [ -e $cpus/cpu0/online ]; then
        turn $cpus/cpu0 0
        online
        turn $cpus/cpu0 1
    fi
    cycle=$((cycle + 1))
    say "cycle $cycle is done"
done
online
if [ "$stay" -gt 0 ]; then
    $bb sleep "$stay"
    online
fi
if [ "$work" = 1 ]; then
    work
    online
fi
say "ready"
if [ "$shell" = 1 ]; then
    $bb setsid $bb cttyhack $bb sh
fi
$bb poweroff -f
