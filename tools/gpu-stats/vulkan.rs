//! A Vulkan device that compiles pipelines and tells what its compiler made of them. Nothing runs
//! on it.
//!
//! Mesa's RADV makes such a device without hardware where `RADV_FORCE_FAMILY` names a GPU.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::{CStr, CString};

use ash::{khr, vk};

use crate::spirv::{ENTRY_POINT, Shader};

/// What the compiler says of a pipeline, by the driver's names.
pub type Statistics = BTreeMap<String, u64>;

/// A device without hardware.
pub struct Compiler {
    // keeps the library loaded
    _entry: ash::Entry,
    device: ash::Device,
    statistics: khr::pipeline_executable_properties::Device,
    /// Name of the GPU.
    pub name: String,
    /// Name and version of the driver.
    pub driver: String,
}

impl Compiler {
    /// Opens the only device of RADV with the features that wgpu asks for. Errors: if Vulkan, the
    /// device or a feature is missing.
    pub fn open() -> Result<Self, Box<dyn Error>> {
        // SAFETY: a Vulkan loader is a library without conditions; handles are used while the entry
        // lives, and the structures of each call outlive it.
        unsafe {
            let entry = ash::Entry::load()?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let instance =
                entry.create_instance(&vk::InstanceCreateInfo::default().application_info(&application), None)?;
            let devices = instance.enumerate_physical_devices()?;
            let physical = *devices.first().ok_or("Vulkan has no device: does RADV know RADV_FORCE_FAMILY?")?;
            let mut driver = vk::PhysicalDeviceDriverProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
            instance.get_physical_device_properties2(physical, &mut properties);
            let name = text(&properties.properties.device_name)?;
            if driver.driver_id != vk::DriverId::MESA_RADV {
                return Err(format!("`{name}` is not a device of RADV: set VK_ICD_FILENAMES to RADV's file").into());
            }
            let device = create_device(&instance, physical)?;
            let statistics = khr::pipeline_executable_properties::Device::new(&instance, &device);
            let driver = format!("{} {}", text(&driver.driver_name)?, text(&driver.driver_info)?);
            Ok(Self { _entry: entry, device, statistics, name, driver })
        }
    }

    /// Compiles a pipeline.
    pub fn statistics(&self, shader: &Shader) -> Result<Statistics, Box<dyn Error>> {
        let binding = |binding: &crate::spirv::Binding| {
            let kind =
                if binding.uniform { vk::DescriptorType::UNIFORM_BUFFER } else { vk::DescriptorType::STORAGE_BUFFER };
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding.number)
                .descriptor_type(kind)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        };
        let bindings: Vec<_> = shader.bindings.iter().map(binding).collect();
        let name = CString::new(ENTRY_POINT)?;
        let device = &self.device;
        // SAFETY: naga has validated the module, and its layout has every binding that it uses.
        unsafe {
            let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [device.create_descriptor_set_layout(&set, None)?];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = device.create_pipeline_layout(&layout, None)?;
            let module =
                device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(&shader.words), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                // as wgpu with its feature SUBGROUP
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(&name);
            let info = vk::ComputePipelineCreateInfo::default()
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
                .stage(stage)
                .layout(layout);
            let pipeline = device
                .create_compute_pipelines(vk::PipelineCache::null(), &[info], None)
                .map_err(|(_, error)| error)?[0];
            let executables = self
                .statistics
                .get_pipeline_executable_properties(&vk::PipelineInfoKHR::default().pipeline(pipeline))?;
            let subgroup = executables.first().map_or(0, |executable| executable.subgroup_size);
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
            let mut statistics = BTreeMap::from([("Subgroup size".to_string(), u64::from(subgroup))]);
            for statistic in self.statistics.get_pipeline_executable_statistics(&info)? {
                let value = match statistic.format {
                    vk::PipelineExecutableStatisticFormatKHR::UINT64 => statistic.value.u64,
                    _ => continue,
                };
                statistics.insert(text(&statistic.name)?, value);
            }
            device.destroy_pipeline(pipeline, None);
            device.destroy_shader_module(module, None);
            device.destroy_pipeline_layout(layout, None);
            device.destroy_descriptor_set_layout(sets[0], None);
            Ok(statistics)
        }
    }
}

/// The device with the features that decide how wgpu's shaders are compiled.
unsafe fn create_device(instance: &ash::Instance, physical: vk::PhysicalDevice) -> Result<ash::Device, Box<dyn Error>> {
    let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
    let extensions = [khr::pipeline_executable_properties::NAME, ash::ext::robustness2::NAME].map(CStr::as_ptr);
    let core = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true);
    let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
    let mut executables =
        vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
    let mut vulkan12 = vk::PhysicalDeviceVulkan12Features::default().shader_int8(true).shader_float16(true);
    let mut vulkan13 = vk::PhysicalDeviceVulkan13Features::default()
        .shader_integer_dot_product(true)
        .shader_zero_initialize_workgroup_memory(true)
        .subgroup_size_control(true)
        .maintenance4(true);
    let info = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queues)
        .enabled_extension_names(&extensions)
        .enabled_features(&core)
        .push_next(&mut robust)
        .push_next(&mut executables)
        .push_next(&mut vulkan12)
        .push_next(&mut vulkan13);
    // SAFETY: the structures live until the call returns.
    Ok(unsafe { instance.create_device(physical, &info, None)? })
}

/// A string of fixed size.
fn text(chars: &[std::ffi::c_char]) -> Result<String, Box<dyn Error>> {
    let bytes: Vec<u8> = chars.iter().map(|&char| char as u8).collect();
    Ok(CStr::from_bytes_until_nul(&bytes)?.to_str()?.to_string())
}
