-- Tells Argo CD how a KafkaCluster, a KafkaTopic or a KafkaUser is. Argo CD runs it with the object as obj, and without
-- Lua's string library.
local function answer(status, message)
  return {status = status, message = message}
end

local function condition(kind)
  for _, one in ipairs(obj.status.conditions or {}) do
    if one.type == kind and one.observedGeneration == obj.metadata.generation then
      return one
    end
  end
  return {status = "Unknown"}
end

-- The status of a new object says -1. That of a changed one is about an earlier generation.
local observed = obj.status and obj.status.observedGeneration
if observed ~= obj.metadata.generation then
  return answer("Progressing", "the operator has not seen generation " .. tostring(obj.metadata.generation) .. " yet")
end

local ready, stalled = condition("Ready"), condition("Stalled")
if obj.metadata.deletionTimestamp ~= nil then
  return answer("Progressing", ready.message or "is being deleted")
end
if stalled.status == "True" then
  return answer("Degraded", stalled.message)
end
if ready.status == "True" then
  return answer("Healthy", ready.message)
end
return answer("Progressing", ready.message or "the operator has not said yet whether it is ready")
