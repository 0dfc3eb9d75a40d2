"Package metadata, all of it read from settings.ini."
from configparser import ConfigParser
from pathlib import Path
import setuptools

cfg = ConfigParser(delimiters=['='])
cfg.read('settings.ini', encoding='utf-8')
s = cfg['DEFAULT']

setuptools.setup(
    name=s['lib_name'], version=s['version'], description=s['description'], license='Apache-2.0',
    author=s['author'], keywords=s['keywords'], url=s['git_url'],
    long_description=Path('README.md').read_text(encoding='utf-8') if Path('README.md').exists() else '',
    long_description_content_type='text/markdown',
    packages=setuptools.find_packages(include=['llmbook', 'llmbook.*']), include_package_data=True,
    python_requires='>=' + s['min_python'], install_requires=s['requirements'].split(),
    extras_require={'dev': s['dev_requirements'].split()},
    entry_points={'console_scripts': s['console_scripts'].split(),
                  'nbdev': [f"{s['lib_name']}={s['lib_name']}._modidx:d"]},
    zip_safe=False)
