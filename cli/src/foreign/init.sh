#!/bin/busybox sh
# What runs on Linux in place of a distribution: it says which CPUs are online, takes each off and on as often as the command line's
# reveille.cycles says, stays for reveille.stay seconds, is a shell until that is left with reveille.shell=1, and switches the machine off.
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

cycles=0
stay=0
shell=0
read -r words < /proc/cmdline
for word in $words; do
    case $word in
        reveille.cycles=*) cycles=${word#*=} ;;
        reveille.stay=*) stay=${word#*=} ;;
        reveille.shell=*) shell=${word#*=} ;;
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
say "ready"
if [ "$shell" = 1 ]; then
    $bb setsid $bb cttyhack $bb sh
fi
$bb poweroff -f
