//! How QEMU is told to boot a system that is not ours: its command line, and what stands beside it in memory.

use std::path::Path;

use crate::stack::{Stack, System};

/// What the words behind it on Xen's command line are: those of the Linux above it.
const GUEST_WORDS: &str = " -- ";
/// Where Xen finds the Linux above it, and its initrd: clear of Xen and of the firmware's devicetree, which lie at the start of memory.
const GUEST_IMAGE: u64 = 0x5000_0000;
const GUEST_INITRD: u64 = 0x5800_0000;

/// Memory where the system needs more than the machine has by itself, as QEMU writes it.
#[must_use]
pub fn memory(system: &System) -> Option<&'static str> {
    matches!(system, System::Xen(_)).then_some("1G")
}

/// The exception level at which a stack has to be entered, if it takes one only.
#[must_use]
pub fn entry_level(stack: &Stack) -> Option<u8> {
    (stack.has_hypervisor() || matches!(stack.system(), System::Xen(_))).then_some(2)
}

/// What a system is told, with what the user adds.
#[must_use]
pub fn command_line(system: &System, append: Option<&str>) -> String {
    let own = match system {
        // It is to speak before its driver does: what goes wrong with CPUs goes wrong early. Should it panic, that ends the run.
        System::Linux(_) => "console=ttyAMA0 earlycon panic=-1 printk.time=1 printk.devkmsg=on",
        System::Xen(_) => "console=dtuart console_timestamps=boot dom0_mem=512M vwfi=native",
        System::Kernel | System::Image(_) => "",
    };
    let append = append.map_or("", |append| if matches!(system, System::Xen(_)) { split(append).0 } else { append });
    [own, append].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What the Linux above Xen is told, or `system` above the hypervisor of ours, with what the user adds.
#[must_use]
pub fn guest_command_line(system: &System, append: Option<&str>) -> String {
    let further = append.and_then(|append| split(append).1);
    if !matches!(system, System::Xen(_)) {
        return command_line(system, further);
    }
    let words = "console=hvc0 panic=-1 printk.devkmsg=on";
    further.map_or(words.to_owned(), |further| format!("{words} {further}"))
}

/// The devices with which QEMU puts the Linux above Xen, and its initrd, into memory and into the devicetree.
#[must_use]
pub fn guest_devices(append: Option<&str>, guest: &Path, initrd: Option<&Path>) -> Vec<String> {
    // A comma in a property's value is written twice.
    let escaped = |text: &str| text.replace(',', ",,");
    let file = |path: &Path| escaped(&path.to_string_lossy());
    let words = guest_command_line(&System::Xen(None), append);
    let kernel = format!("guest-loader,addr={GUEST_IMAGE:#x},kernel={},bootargs={}", file(guest), escaped(&words));
    let initrd = initrd.map(|initrd| format!("guest-loader,addr={GUEST_INITRD:#x},initrd={}", file(initrd)));
    [kernel].into_iter().chain(initrd).collect()
}

/// The words for the hypervisor, and those for what is above it.
#[must_use]
pub fn split(append: &str) -> (&str, Option<&str>) {
    match append.strip_prefix(GUEST_WORDS.trim_start()) {
        Some(guest) => ("", Some(guest)),
        None => append.split_once(GUEST_WORDS).map_or((append, None), |(xen, guest)| (xen, Some(guest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_gets_its_console_and_what_the_user_adds() {
        assert!(command_line(&System::Linux(None), Some("maxcpus=2")).ends_with(" maxcpus=2"));
        assert_eq!(command_line(&System::Image("x".into()), None), "");
        assert_eq!(command_line(&System::Image("x".into()), Some("quiet")), "quiet");
    }

    #[test]
    fn words_for_the_linux_above_xen_stand_behind_two_dashes() {
        let xen = System::Xen(None);
        for (append, own, guest) in [
            ("vwfi=trap -- a=1,2 b", " vwfi=trap", "devkmsg=on a=1,,2 b"),
            ("-- a", "vwfi=native", "devkmsg=on a"),
            ("x--y", " x--y", "devkmsg=on"),
        ] {
            assert!(command_line(&xen, Some(append)).ends_with(own), "{append}");
            let devices = guest_devices(Some(append), Path::new("a,b/Image"), Some(Path::new("i.cpio")));
            assert!(devices[0].ends_with(guest) && devices[0].contains("kernel=a,,b/Image,"), "{devices:?}");
            assert!(devices[1].ends_with(",initrd=i.cpio"), "{devices:?}");
        }
    }
}
