//! What the adapter is, and a device of it without our engine.

use std::error::Error;

use serde_json::json;

use crate::emit;

/// The best adapter, and a device with its features that we measure with.
pub struct Bare {
    pub adapter: wgpu::Adapter,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
}

impl Bare {
    pub async fn open() -> Result<Self, Box<dyn Error>> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = instance.request_adapter(&options).await?;
        let wanted = wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16 | wgpu::Features::TIMESTAMP_QUERY;
        let descriptor = wgpu::DeviceDescriptor {
            required_features: adapter.features() & wanted,
            required_limits: wgpu::Limits {
                max_storage_buffers_per_shader_stage: adapter.limits().max_storage_buffers_per_shader_stage,
                ..wgpu::Limits::default()
            },
            ..Default::default()
        };
        let (device, queue) = adapter.request_device(&descriptor).await?;
        Ok(Self { adapter, device, queue })
    }

    /// Waits for the end of everything that was submitted.
    pub fn wait(&self) -> Result<(), Box<dyn Error>> {
        self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: None })?;
        Ok(())
    }
}

pub async fn run() -> Result<(), Box<dyn Error>> {
    let bare = Bare::open().await?;
    let info = bare.adapter.get_info();
    let limits = bare.adapter.limits();
    emit(&json!({
        "adapter": info.name,
        "backend": info.backend.to_string(),
        "type": format!("{:?}", info.device_type),
        "driver": info.driver,
        "driverInfo": info.driver_info,
        "vendor": info.vendor,
        "device": info.device,
        "subgroups": [info.subgroup_min_size, info.subgroup_max_size],
        "nanosecondsPerTick": bare.queue.get_timestamp_period(),
        "features": bare.adapter.features().iter_names().map(|(name, _)| name).collect::<Vec<_>>(),
        "maxBufferSize": limits.max_buffer_size,
        "maxStorageBufferBindingSize": limits.max_storage_buffer_binding_size,
        "maxComputeWorkgroupStorageSize": limits.max_compute_workgroup_storage_size,
        "maxComputeInvocationsPerWorkgroup": limits.max_compute_invocations_per_workgroup,
        "limits": format!("{limits:?}"),
    }))?;
    Ok(())
}
