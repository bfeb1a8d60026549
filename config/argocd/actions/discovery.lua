-- Actions for an object of any kind of steamer.dev.
local never_suspended = {
  BaoAuth = true,
  BaoAuthGlobal = true,
  BaoConnection = true,
  PipelinePolicy = true,
  SecretTransformation = true,
  UserPolicy = true,
}
local suspended = obj.spec.suspend == true
local actions = {}
actions["reconcile"] = { ["disabled"] = suspended }
if not never_suspended[obj.kind] then
  actions["suspend"] = { ["disabled"] = suspended }
  actions["resume"] = { ["disabled"] = not suspended }
end
if obj.kind == "OpenBaoCluster" and obj.spec.managed ~= nil then
  actions["restart"] = { ["disabled"] = suspended }
  actions["step-down"] = { ["disabled"] = suspended }
end
return actions
