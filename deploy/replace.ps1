<#
.SYNOPSIS
Starts Sensorium in the place of the one that runs at a port.

.DESCRIPTION
Elsewhere `sensorium serve --replace` takes over the listening socket, so that no call is refused.
Windows cannot hand a socket over like that, so this stops the running server and starts another;
calls that come in between are refused and may be made again.

.EXAMPLE
./replace.ps1 -Port 8484 --mode all
#>
param(
    [int]$Port = 8484,
    [int]$WaitSeconds = 20,
    [Parameter(ValueFromRemainingArguments = $true)][string[]]$Arguments
)
$ErrorActionPreference = 'Stop'

function Get-Owner {
    Get-NetTCPConnection -LocalPort $Port -State Listen -ErrorAction SilentlyContinue |
        Select-Object -First 1 -ExpandProperty OwningProcess
}

$owner = Get-Owner
if ($owner) {
    $process = Get-CimInstance Win32_Process -Filter "ProcessId = $owner"
    if ($process.CommandLine -notmatch 'sensorium') {
        throw "Port $Port belongs to another program: $($process.Name)"
    }
    Stop-Process -Id $owner
    $until = (Get-Date).AddSeconds($WaitSeconds)
    while (Get-Owner) {
        if ((Get-Date) -gt $until) { throw "Port $Port is still taken after $WaitSeconds s" }
        Start-Sleep -Milliseconds 100
    }
}
& sensorium serve --port $Port @Arguments
exit $LASTEXITCODE
