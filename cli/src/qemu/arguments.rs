//! QEMU's arguments: what machine it is, and what each stage of the stack is told.

use std::path::{Path, PathBuf};

use crate::boot::BootOptions;
use crate::enable_method::EnableMethod;
use crate::foreign::launch;
use crate::guests;
use crate::hand_over::HandOver;
use crate::image::{BuiltImage, ImageFormat};
use crate::machine::Firmware;

/// CPUs in pens wait in WFE, since only SEV wakes them. QEMU turns that into a loop, which would keep the host's cores from the
/// CPUs that work if each CPU had a thread.
pub const ONE_THREAD: [&str; 2] = ["-accel", "tcg,thread=single"];

/// How a boot loader of ours is told in which manner it hands CPUs over.
const HAND_OVER_WORD: &str = "loader.handover=";
/// Where a boot loader of ours finds what it is to start.
const PAYLOAD: &str = "opt/reveille/";

/// The CPU model where the hypervisor of ours runs: it needs VHE.
const HYPERVISOR_CPU_MODEL: &str = "cortex-a76";

/// Where firmware of ours finds what it is told.
const FIRMWARE_WORDS: &str = "opt/reveille/firmware";

/// The files that QEMU takes beside an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// A devicetree, where it is not QEMU's own.
    pub devicetree: Option<PathBuf>,
    /// What firmware of ours finds in its environment.
    pub environment: Option<PathBuf>,
    /// Where firmware that has a serial line of its own is to leave what it says there.
    pub firmware_log: Option<PathBuf>,
    /// The files of a boot loader's payload, with their names in its folder of fw_cfg.
    pub payload: Vec<(&'static str, PathBuf)>,
    /// The same as one archive, where it is to lie in memory.
    pub archive: Option<PathBuf>,
    /// What else is put into memory, and where.
    pub modules: Vec<(PathBuf, u64)>,
}

/// QEMU's arguments that say what machine it is: the first two name it.
#[must_use]
pub fn machine_arguments(options: &BootOptions) -> Vec<String> {
    let machine = options.machine;
    let mut qemu_machine = machine.qemu_machine.to_owned();
    let entry_level = options.entry_level.or(launch::entry_level(&options.stack));
    if let Ok(Some(property)) = machine.entry_property(entry_level) {
        qemu_machine = format!("{qemu_machine},{property}");
    }
    // The last of two values of a property counts.
    if let Some(gic) = options.gic.and_then(|version| machine.gic(version).ok()) {
        qemu_machine = format!("{qemu_machine},{}", gic.property);
    }
    if let Ok(Some(firmware)) = machine.secure_firmware(&options.stack, options.gic, options.format) {
        qemu_machine = format!("{qemu_machine},{}", firmware.properties);
    }
    let (usual_model, memory) = if options.stack.has_hypervisor() {
        (HYPERVISOR_CPU_MODEL, guests::machine_memory(options.guest_0, &options.guests))
    } else {
        (machine.cpu_model, launch::memory(options.stack.system()).unwrap_or(machine.memory).to_owned())
    };
    let cpu_model = options.cpu_model.as_deref().unwrap_or(usual_model);
    let cpus = options.cpus.to_string();
    ["-machine", &qemu_machine, "-cpu", cpu_model, "-smp", &cpus, "-m", &memory].map(str::to_owned).to_vec()
}

/// QEMU's arguments for a boot.
#[must_use]
pub fn arguments(options: &BootOptions, image: &BuiltImage, files: &Files) -> Vec<String> {
    let machine = options.machine;
    let secure_firmware = machine.secure_firmware(&options.stack, options.gic, options.format).ok().flatten();
    let devicetree = files.devicetree.as_deref();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut arguments = machine_arguments(options);
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
    // Without a NIC, because packages of QEMU without its recommended ones lack the NIC's ROM.
    add(&["-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot"]);
    machine.without.iter().for_each(|device| add(&[device, "none"]));
    machine.serial.iter().for_each(|port| add(&["-serial", port]));
    files.firmware_log.iter().for_each(|log| add(&["-serial", &format!("file:{}", text(log))]));
    if may_use_semihosting(options) {
        add(&["-semihosting-config", "enable=on,target=native"]);
    }
    if machine.firmware.is_some() || secure_firmware.is_some() {
        image.firmware.iter().for_each(|firmware| add(&["-bios", &text(firmware)]));
    }
    if let Some(Firmware { image_address, environment_address, .. }) = machine.firmware {
        add(&["-device", &loader(&image.flat, image_address)]);
        files.environment.iter().for_each(|file| add(&["-device", &loader(file, environment_address)]));
    } else if let Some(boot_loader) = &image.loader {
        add(&["-kernel", &text(boot_loader), "-append", &loader_command_line(options)]);
        files.archive.iter().for_each(|archive| add(&["-initrd", &text(archive)]));
        for (name, file) in &files.payload {
            // A comma in a property's value is written twice.
            add(&["-fw_cfg", &format!("name={PAYLOAD}{name},file={}", text(file).replace(',', ",,"))]);
        }
    } else {
        let file = if options.format == Some(ImageFormat::Elf) { &image.elf } else { &image.flat };
        add(&["-kernel", &text(file), "-append", &kernel_command_line(options)]);
        let initrd = options.initrd.as_deref().or(image.initrd.as_deref());
        match &image.guest {
            Some(_) if options.stack.has_hypervisor() => {
                files.modules.iter().for_each(|(file, address)| add(&["-device", &loader(file, *address)]));
            }
            Some(guest) => launch::guest_devices(options.append.as_deref(), guest, initrd)
                .iter()
                .for_each(|device| add(&["-device", device])),
            None => initrd.iter().for_each(|initrd| add(&["-initrd", &text(initrd)])),
        }
    }
    if let Some(words) = firmware_words(options).filter(|_| secure_firmware.is_some()) {
        add(&["-fw_cfg", &format!("name={FIRMWARE_WORDS},string={words}")]);
    }
    if let Some(devicetree) = devicetree {
        add(&["-dtb", &text(devicetree)]);
    }
    if machine.has_pens
        || leaves_pens(options)
        || options.enable_method.has_pens()
        || devicetree.is_some_and(crate::devicetree::has_pens)
    {
        add(&ONE_THREAD);
    }
    arguments.extend(options.qemu_arguments.iter().cloned());
    arguments
}

/// Whether a boot loader of ours is told to leave its CPUs in pens, by an option or, where it is booted as an image, in so many words.
fn leaves_pens(options: &BootOptions) -> bool {
    let word = format!("{HAND_OVER_WORD}{}", HandOver::SpinTable);
    let is_told = |append: &str| append.split_whitespace().any(|each| each == word);
    options.hand_over == Some(HandOver::SpinTable) || options.append.as_deref().is_some_and(is_told)
}

/// Whether the machine has semihosting, by which an image tells QEMU its status: not where there are guests, since QEMU would open the
/// host's files for them as well.
fn may_use_semihosting(options: &BootOptions) -> bool {
    !options.stack.has_hypervisor()
}

/// Whether what is booted first ends the run that way; firmware of ours has another.
fn ends_by_semihosting(options: &BootOptions) -> bool {
    may_use_semihosting(options) && !options.stack.has_firmware()
}

/// What firmware of ours is told: how CPUs are to be started, and which misbehave. `None` if it is to do as it does.
fn firmware_words(options: &BootOptions) -> Option<String> {
    let method =
        (options.enable_method != EnableMethod::default()).then(|| format!("enable-method={}", options.enable_method));
    let faults = options.faults.iter().map(|fault| format!("fault={fault}"));
    let words: Vec<String> = method.into_iter().chain(faults).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// What the boot loader is told.
fn loader_command_line(options: &BootOptions) -> String {
    let exit = ends_by_semihosting(options).then_some("reveille.exit=semihosting ");
    format!("{}{}", exit.unwrap_or_default(), guest_loader_command_line(options))
}

/// What a boot loader is told that runs as a guest: to end the run is the hypervisor's affair.
#[must_use]
pub fn guest_loader_command_line(options: &BootOptions) -> String {
    let manner = options.hand_over.map(|manner| format!("{HAND_OVER_WORD}{manner} "));
    format!("{}reveille.policy={}", manner.unwrap_or_default(), options.policy)
}

/// The device with which QEMU puts `file`, as it is, at a physical address.
fn loader(file: &Path, address: u64) -> String {
    // A comma in a property's value is written twice.
    format!("loader,file={},addr={address:#x},force-raw=on", file.to_string_lossy().replace(',', ",,"))
}

/// What the kernel is told. Where firmware of ours starts it, firmware also ends the run.
#[must_use]
pub fn kernel_command_line(options: &BootOptions) -> String {
    let system = options.stack.system();
    if options.stack.has_hypervisor() {
        return hypervisor_command_line(options);
    }
    if system.is_foreign() {
        return launch::command_line(system, options.append.as_deref());
    }
    own_command_line(options, options.append.as_deref())
}

/// What the hypervisor of ours is told.
#[must_use]
pub fn hypervisor_command_line(options: &BootOptions) -> String {
    let own = own_command_line(options, options.append.as_deref().map(|append| launch::split(append).0));
    // Otherwise it comes with guest 0's node.
    let of_guest_0 = if options.stack.has_loader() { options.guest_0.words() } else { Vec::new() };
    std::iter::once(own).chain(of_guest_0).collect::<Vec<_>>().join(" ")
}

/// What an image of ours is told that brings CPUs up.
fn own_command_line(options: &BootOptions, append: Option<&str>) -> String {
    let mut words = vec![format!("reveille.policy={}", options.policy)];
    if options.machine.firmware.is_none() && ends_by_semihosting(options) {
        words.insert(0, "reveille.exit=semihosting".to_owned());
    }
    words.extend(options.deadline.map(|deadline| format!("reveille.timeout_ms={}", deadline.as_millis().max(1))));
    words.extend(append.map(str::to_owned).filter(|append| !append.is_empty()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::Machine;
    use crate::policy::Policy;
    use crate::stack::{Stack, System};

    fn image() -> BuiltImage {
        BuiltImage { elf: "kernel".into(), flat: "kernel.Image".into(), ..BuiltImage::default() }
    }

    fn devicetree(path: &str) -> Files {
        Files { devicetree: Some(path.into()), ..Files::default() }
    }

    fn values<'a>(arguments: &'a [String], option: &str) -> Vec<&'a str> {
        arguments.windows(2).filter(|pair| pair[0] == option).map(|pair| &*pair[1]).collect()
    }

    fn pair<'a>(arguments: &'a [String], option: &str) -> Option<&'a str> {
        let position = arguments.iter().position(|argument| argument == option)?;
        arguments.get(position + 1).map(String::as_str)
    }

    #[test]
    fn a_plain_boot_is_four_cpus_at_el1_from_the_image() {
        let arguments = arguments(&BootOptions::default(), &image(), &Files::default());
        assert_eq!(pair(&arguments, "-machine"), Some("virt,gic-version=3"));
        assert_eq!(pair(&arguments, "-cpu"), Some("cortex-a57"));
        assert_eq!(pair(&arguments, "-smp"), Some("4"));
        assert_eq!(pair(&arguments, "-nic"), Some("none"));
        assert_eq!(pair(&arguments, "-kernel"), Some("kernel.Image"));
        assert_eq!(pair(&arguments, "-append"), Some("reveille.exit=semihosting reveille.policy=parallel"));
        assert_eq!(pair(&arguments, "-dtb"), None);
    }

    #[test]
    fn a_machine_with_guests_has_no_semihosting() {
        let Ok(stack) = "hypervisor,kernel".parse::<Stack>();
        let options = BootOptions { stack, ..BootOptions::default() };
        let arguments = arguments(&options, &image(), &Files::default());
        assert!(!arguments.iter().any(|argument| argument.contains("semihosting")), "{arguments:?}");
    }

    #[test]
    fn every_option_reaches_qemu() {
        let options = BootOptions {
            cpus: 64,
            policy: Policy::Serial,
            append: Some("maxcpus=2".into()),
            deadline: Some(Duration::from_micros(1_500_000)),
            entry_level: Some(2),
            gic: Some(3),
            cpu_model: Some("max".into()),
            format: Some(ImageFormat::Elf),
            qemu_arguments: vec!["-icount".into(), "shift=0".into()],
            ..BootOptions::default()
        };
        let arguments = arguments(&options, &image(), &devicetree("x.dtb"));
        assert_eq!(pair(&arguments, "-machine"), Some("virt,gic-version=3,virtualization=on,gic-version=3"));
        assert_eq!(pair(&arguments, "-cpu"), Some("max"));
        assert_eq!(pair(&arguments, "-smp"), Some("64"));
        assert_eq!(pair(&arguments, "-kernel"), Some("kernel"));
        assert_eq!(pair(&arguments, "-dtb"), Some("x.dtb"));
        let append = "reveille.exit=semihosting reveille.policy=serial reveille.timeout_ms=1500 maxcpus=2";
        assert_eq!(pair(&arguments, "-append"), Some(append));
        assert!(arguments.ends_with(&["-icount".into(), "shift=0".into()]));
    }

    #[test]
    fn a_machine_of_pens_runs_in_one_thread_with_its_console_where_it_is() {
        let options = BootOptions { machine: Machine::find("raspi3b").unwrap(), ..BootOptions::default() };
        let arguments = arguments(&options, &image(), &devicetree("raspi3b.dtb"));
        assert_eq!(pair(&arguments, "-machine"), Some("raspi3b"));
        assert_eq!(pair(&arguments, "-accel"), Some("tcg,thread=single"));
        assert_eq!(pair(&arguments, "-dtb"), Some("raspi3b.dtb"));
        assert_eq!(values(&arguments, "-serial"), ["null", "stdio"]);
    }

    #[test]
    fn a_loader_as_an_image_that_leaves_pens_runs_in_one_thread() {
        let accelerator = |append: &str| {
            let options = BootOptions { append: Some(append.into()), ..BootOptions::default() };
            pair(&arguments(&options, &image(), &Files::default()), "-accel").map(str::to_owned)
        };
        assert_eq!(accelerator("loader.without=1 loader.handover=spin-table").as_deref(), Some("tcg,thread=single"));
        assert_eq!(accelerator("loader.handover=off"), None);
    }

    #[test]
    fn firmware_boots_what_qemu_puts_into_memory() {
        let machine = Machine::find("malta").unwrap();
        let options = BootOptions { machine, cpus: 16, append: Some("maxcpus=2".into()), ..BootOptions::default() };
        let image = BuiltImage { flat: "a,b/kernel.elf".into(), firmware: Some("rom.bin".into()), ..image() };
        let files = Files { environment: Some("malta.env".into()), ..Files::default() };
        let arguments = arguments(&options, &image, &files);
        assert_eq!(pair(&arguments, "-machine"), Some("malta"));
        assert_eq!(pair(&arguments, "-cpu"), Some("P5600"));
        assert_eq!(pair(&arguments, "-smp"), Some("16"));
        assert_eq!(pair(&arguments, "-bios"), Some("rom.bin"));
        assert_eq!(pair(&arguments, "-vga"), Some("none"));
        let loaders = [
            "loader,file=a,,b/kernel.elf,addr=0x8000000,force-raw=on",
            "loader,file=malta.env,addr=0x7fff000,force-raw=on",
        ];
        assert_eq!(values(&arguments, "-device"), loaders);
        assert_eq!(values(&arguments, "-serial"), ["null", "null", "stdio"]);
        assert!(["-kernel", "-append", "-dtb", "-accel"].iter().all(|option| pair(&arguments, option).is_none()));
        assert_eq!(kernel_command_line(&options), "reveille.policy=parallel maxcpus=2");
    }

    #[test]
    fn a_stack_with_firmware_begins_at_the_reset_vector_with_what_qemu_hands_over() {
        let options = BootOptions {
            stack: Stack::firmware(System::Kernel),
            entry_level: Some(2),
            append: Some("nosmp".into()),
            ..BootOptions::default()
        };
        let image = BuiltImage { firmware: Some("firmware.bin".into()), ..image() };
        let arguments = arguments(&options, &image, &Files::default());
        assert_eq!(pair(&arguments, "-machine"), Some("virt,gic-version=3,virtualization=on,secure=on"));
        assert_eq!(pair(&arguments, "-bios"), Some("firmware.bin"));
        assert_eq!(pair(&arguments, "-kernel"), Some("kernel.Image"));
        assert_eq!(pair(&arguments, "-append"), Some("reveille.policy=parallel nosmp"));
        assert_eq!(pair(&arguments, "-fw_cfg"), None);
    }

    #[test]
    fn firmware_is_told_the_faults_and_has_a_serial_line_of_its_own() {
        let options = BootOptions {
            stack: Stack::firmware(System::Kernel),
            faults: ["cpu1:dead", "cpu2:late:200ms"].map(|fault| fault.parse().unwrap()).into(),
            enable_method: EnableMethod::SpinTable,
            ..BootOptions::default()
        };
        let files = Files { firmware_log: Some("a,b/log".into()), ..Files::default() };
        let arguments = arguments(&options, &image(), &files);
        let words = "name=opt/reveille/firmware,string=enable-method=spin-table fault=cpu1:dead fault=cpu2:late:200ms";
        assert_eq!(pair(&arguments, "-fw_cfg"), Some(words));
        assert_eq!(values(&arguments, "-serial"), ["stdio", "file:a,b/log"]);
        assert_eq!(pair(&arguments, "-accel"), Some("tcg,thread=single"));
    }

    #[test]
    fn linux_gets_its_initrd_and_xen_a_linux_beside_it() {
        let linux = BootOptions { stack: Stack::firmware(System::Linux(None)), ..BootOptions::default() };
        let image = BuiltImage { initrd: Some("our.cpio".into()), ..image() };
        let given = BootOptions { initrd: Some("other.cpio".into()), ..linux.clone() };
        assert_eq!(pair(&arguments(&linux, &image, &Files::default()), "-initrd"), Some("our.cpio"));
        assert_eq!(pair(&arguments(&given, &image, &Files::default()), "-initrd"), Some("other.cpio"));
        let xen = BootOptions { stack: Stack::firmware(System::Xen(None)), ..BootOptions::default() };
        let arguments = arguments(&xen, &BuiltImage { guest: Some("Image".into()), ..image }, &Files::default());
        assert_eq!(pair(&arguments, "-machine"), Some("virt,gic-version=3,virtualization=on,secure=on"));
        assert_eq!((pair(&arguments, "-initrd"), pair(&arguments, "-m")), (None, Some("1G")));
        assert!(values(&arguments, "-device")[1].ends_with("initrd=our.cpio"), "{arguments:?}");
    }

    #[test]
    fn a_boot_loader_is_booted_with_its_payload_in_fw_cfg() {
        let options = BootOptions {
            stack: Stack::loader(System::Kernel),
            hand_over: Some(HandOver::SpinTable),
            ..BootOptions::default()
        };
        let image = BuiltImage { loader: Some("loader.Image".into()), ..image() };
        let payload = vec![("kernel", "a,b".into()), ("digests", "d".into())];
        let arguments = arguments(&options, &image, &Files { payload, ..Files::default() });
        assert_eq!(pair(&arguments, "-kernel"), Some("loader.Image"));
        let append = "reveille.exit=semihosting loader.handover=spin-table reveille.policy=parallel";
        assert_eq!(pair(&arguments, "-append"), Some(append));
        let files = ["name=opt/reveille/kernel,file=a,,b", "name=opt/reveille/digests,file=d"];
        assert_eq!(values(&arguments, "-fw_cfg"), files);
        assert_eq!(pair(&arguments, "-accel"), Some("tcg,thread=single"));
    }
}
