-- The health of an ArchiveTransfer for Argo CD, which has no rule for kinds that it does not
-- know: resource.customizations.health.transfer.cargoship.dev_ArchiveTransfer in argocd-cm.
local hs = {status = "Progressing", message = "no manager has looked at it yet"}
if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return hs
end
local is = {}
for _, condition in ipairs(obj.status.conditions) do
  if condition.status == "True" then
    is[condition.type] = true
  end
  if condition.type == "Ready" then
    hs.message = condition.message
  end
end
if is.Stalled then
  hs.status = "Degraded"
elseif is.Ready then
  hs.status = "Healthy"
elseif is.Suspended then
  hs.status = "Suspended"
end
return hs
