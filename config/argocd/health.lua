-- Health of an object of any kind of steamer.dev, from the conditions Ready, Reconciling, Stalled and Suspended.
local hs = { status = "Progressing", message = "Waiting for the operator" }
local status = obj.status or {}

if obj.metadata.deletionTimestamp ~= nil then
  hs.message = "The object is being deleted"
  return hs
end
if status.conditions == nil or status.observedGeneration == nil then
  return hs
end
if obj.metadata.generation ~= nil and status.observedGeneration ~= obj.metadata.generation then
  hs.message = "Waiting for the operator to observe the latest spec"
  return hs
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end

local function is(kind, value)
  return conditions[kind] ~= nil and conditions[kind].status == value
end

if conditions.Ready == nil then
  return hs
end
hs.message = conditions.Ready.message
if is("Stalled", "True") then
  hs.status = "Degraded"
  hs.message = conditions.Stalled.message
elseif is("Suspended", "True") then
  hs.status = "Suspended"
  hs.message = conditions.Suspended.message
elseif is("Ready", "True") then
  hs.status = "Healthy"
elseif is("Reconciling", "True") then
  hs.status = "Progressing"
elseif conditions.Ready.reason == "Disabled" then
  -- hibernation: true
  hs.status = "Suspended"
else
  hs.status = "Degraded"
end
return hs
