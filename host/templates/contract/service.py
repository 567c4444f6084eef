"""The service. There is no HTTP here: the host makes HTTP from the contract in wit/."""

{{code}}
