"""scrimp's wire contract (``scrimp.v1``) and a thin client for it (``scrimp.client``)."""
