# frozen_string_literal: true

# Installs libvegas from a source by a Gemfile, and runs a program that has it by that.
source, program = ARGV
File.write('Gemfile', "source '#{source}'\ngem 'libvegas'\n")
system(RbConfig.ruby, '-e', "load Gem.bin_path('bundler', 'bundle')", 'install') || abort('bundle install failed')
exec(RbConfig.ruby, '-rbundler/setup', '-e', program)
