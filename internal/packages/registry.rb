# frozen_string_literal: true

# Runs ruby with a source on loopback that has the gems of a folder; its address takes the
# place of the word SOURCE. It is what rubygems.org is, a compact index: RubyGems 3.3
# installs no gem of a platform from the older index, which is all that file: sources can
# be.
#
#   ruby registry.rb GEMS gem install --clear-sources --source SOURCE libvegas
require 'digest'
require 'rubygems/package'
require 'socket'
require 'zlib'

folder, *command = ARGV
files = Dir["#{folder}/*.gem"]
abort "there are no gems in #{folder}: go run ./internal/packages build ruby" if files.empty?

pages = { '/' => '' }
info = ["---\n"]
tuples = files.sort.map do |file|
  spec = Gem::Package.new(file).spec
  named = spec.full_name.delete_prefix("#{spec.name}-")
  info << "#{named} |checksum:#{Digest::SHA256.file(file)},ruby:#{spec.required_ruby_version}\n"
  pages["/gems/#{spec.file_name}"] = File.binread(file)
  pages["/quick/Marshal.4.8/#{spec.full_name}.gemspec.rz"] = Zlib::Deflate.deflate(Marshal.dump(spec))
  [spec.name, spec.version, spec.platform.to_s]
end
pages['/info/libvegas'] = info.join
# By which Bundler finds the others.
numbers = tuples.map { |_, version, platform| "#{version}-#{platform}" }.join(',')
pages['/names'] = "---\nlibvegas\n"
pages['/versions'] = "created_at: 2026-01-01T00:00:00Z\n---\nlibvegas #{numbers} #{Digest::MD5.hexdigest(info.join)}\n"
# Of the older one, by which fetch chooses.
{ 'specs' => tuples, 'latest_specs' => tuples, 'prerelease_specs' => [] }.each do |name, list|
  pages["/#{name}.4.8.gz"] = Zlib.gzip(Marshal.dump(list))
end

server = TCPServer.new('127.0.0.1', 0)
Thread.new do
  loop do
    Thread.new(server.accept) do |client|
      method, path = client.gets.split
      nil until client.gets.strip.empty?
      page = pages[path]
      client.write("HTTP/1.1 #{page ? '200 OK' : '404 Not Found'}\r\nContent-Length: #{page.to_s.bytesize}\r\nConnection: close\r\n\r\n")
      client.write(page.to_s) unless method == 'HEAD'
    ensure
      client.close
    end
  end
end
source = "http://127.0.0.1:#{server.addr[1]}/"
exit(system(RbConfig.ruby, *command.map { |word| word == 'SOURCE' ? source : word }) ? 0 : 1)
